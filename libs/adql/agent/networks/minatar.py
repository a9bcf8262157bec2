"""One convolution in front of a dense network, forwards and backwards by hand; numpy on one flat vector."""

from math import prod

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from adql.agent.networks.dense import DenseNetwork
from adql.agent.networks.heads import Head
from adql.parameters.initial import Convolution, ImageFormat
from adql.types import Array, Manifest


class MinAtarNetwork:
    """Reads images as ``image`` lays them out, cast and never scaled; its one ``convolution`` has stride 1.

    The n images are the last axis of whatever is computed: a copy is then one of long runs, and the maps are the dense
    network's features, transposed. A product for each position, with all images, is half the cost of one product for
    all positions, whose rows lie too far apart for the processor's cache.
    """

    is_table = False

    def __init__(
        self, manifest: Manifest, convolution: Convolution, image: ImageFormat, head: Head, dtype: npt.DTypeLike
    ) -> None:
        self.manifest = manifest
        self._kernel, self._image, dtype = convolution.kernel, image, np.dtype(dtype)
        self._weight, self._bias = manifest.entries[:2]
        self._front = self._weight.size + self._bias.size
        self._gradient = np.zeros(manifest.size, dtype)
        self._dense = DenseNetwork(Manifest(manifest.entries[2:]), head, None, dtype, self._gradient[self._front :])
        self._planes, self._acting_strips, self._acting_maps = (_Scratch(dtype) for _ in range(3))
        self._kept_strips, self._kept_maps, self._below = (_Scratch(dtype) for _ in range(3))
        self._patches = self._maps = np.empty(0, dtype)

    def q_values(self, vector: Array, observations: Array) -> Array:
        """Returns Q (n, actions)."""
        maps = self._convolved(vector, self._patches_of(observations, self._acting_strips), self._acting_maps)
        return self._dense.q_values(vector[self._front :], _features(maps))

    def forward(self, vector: Array, observations: Array) -> Array:
        """Returns Q (n, actions) and keeps patches and maps."""
        self._patches = self._patches_of(observations, self._kept_strips)
        self._maps = self._convolved(vector, self._patches, self._kept_maps)
        return self._dense.forward(vector[self._front :], _features(self._maps))

    def backward(self, output_gradient: Array) -> Array:
        """Returns the flat gradient (P,) for the first m rows of the last forward."""
        rows = len(output_gradient)
        maps, patches = self._maps[..., :rows], self._patches[..., :rows]
        delta = self._below.of(maps.shape)
        self._dense.backward(output_gradient, _features(delta))
        # ReLU: the gradient passes where the unit was on.
        np.multiply(delta, maps > 0.0, out=delta)
        weight, bias = self._weight_and_bias(self._gradient)
        of_positions = np.matmul(patches, delta.transpose(1, 2, 3, 0))
        weight[...] = of_positions.sum(axis=(0, 1)).T.reshape(weight.shape)
        np.sum(delta, axis=(1, 2, 3), out=bias)
        return self._gradient

    def _convolved(self, vector: Array, patches: Array, scratch: "_Scratch") -> Array:
        """Returns the maps (filters, rows, columns, n)."""
        weight, bias = self._weight_and_bias(vector)
        rows, columns, inputs, n = patches.shape
        maps = scratch.of((len(bias), rows, columns, n))
        np.matmul(weight.reshape(-1, inputs), patches, out=maps.transpose(1, 2, 0, 3))
        maps += bias.reshape(-1, 1, 1, 1)
        # ReLU; np.maximum with a scalar takes three times as long.
        return np.clip(maps, 0.0, np.inf, out=maps)

    def _patches_of(self, observations: Array, scratch: "_Scratch") -> Array:
        """Returns what the filters read at each position, (rows, columns, kernel · kernel · channels, n).

        A strip is what a row of the kernel's height has over the image's columns; patches are overlapping parts of it.
        """
        planes = self._planes_of(observations)
        side, _, channels, n = planes.shape
        kernel, positions = self._kernel, side - self._kernel + 1
        strips = scratch.of((positions, side, kernel, channels, n))
        for i in range(kernel):
            strips[:, :, i] = planes[i : i + positions]
        row, column, _, channel, image = strips.strides
        patches_shape = (positions, positions, kernel * kernel * channels, n)
        return as_strided(strips, patches_shape, (row, column, channel, image), writeable=False)

    def _planes_of(self, observations: Array) -> Array:
        """Returns ``observations`` as (rows, columns, channels, n)."""
        images = observations.transpose((1, 2, 3, 0) if self._image.channels_last else (2, 3, 1, 0))
        planes = self._planes.of(images.shape)
        # Turned as the bytes that they mostly are, and cast then.
        np.copyto(planes, np.ascontiguousarray(images), casting="unsafe")
        return planes

    def _weight_and_bias(self, vector: Array) -> tuple[Array, Array]:
        """Returns views (filters, columns, rows, channels) of the kernel and (filters,) into a flat ``vector`` (P,)."""
        weight = vector[: self._weight.size].reshape(self._weight.shape)
        return weight.transpose(0, 3, 2, 1), vector[self._weight.size : self._front]


class _Scratch:
    """A buffer of any shape, grown to the largest that was ever asked for."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._buffer = np.empty(0, dtype)

    def of(self, shape: tuple[int, ...]) -> Array:
        size = prod(shape)
        if size > len(self._buffer):
            self._buffer = np.empty(size, self._buffer.dtype)
        return self._buffer[:size].reshape(shape)


def _features(maps: Array) -> Array:
    """Returns ``maps`` as rows of numbers (n, filters · rows · columns), without a copy."""
    return maps.reshape(-1, maps.shape[-1]).T
