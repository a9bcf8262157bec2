"""Convolutions in torch, forwards and backwards by hand, in front of a dense network in numpy; one flat vector."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from adql.agent.networks.dense import DenseNetwork
from adql.agent.networks.heads import Head
from adql.parameters.initial import Convolution, ImageFormat
from adql.types import Array, Manifest


class ConvolutionalNetwork:
    """Reads images as ``image`` lays them out, multiplied by ``scale``.

    Of the flat vector only the convolutions' part, a twentieth of Nature's, is copied into tensors: torch wants them
    channels last, in which a backward takes half the time. The rest is worked on where it lies, gradient included.
    """

    is_table = False

    def __init__(
        self,
        manifest: Manifest,
        convolutions: tuple[Convolution, ...],
        image: ImageFormat,
        head: Head,
        scale: float,
        dtype: npt.DTypeLike,
    ) -> None:
        # Two threads halve the speed at these sizes, and a learner has one core.
        torch.set_num_threads(1)
        self.manifest = manifest
        self._strides, self._image = [layer.stride for layer in convolutions], image
        self._scale, self._dtype = scale, np.dtype(dtype)
        front = 2 * len(convolutions)
        self._front, behind = Manifest(manifest.entries[:front]), Manifest(manifest.entries[front:])
        self._gradient = np.zeros(manifest.size, self._dtype)
        self._gradient_views = self._front.views(self._gradient[: self._front.size])
        self._dense = DenseNetwork(behind, head, None, dtype, self._gradient[self._front.size :])
        self._parameters: dict[str, Tensor] = {}
        self._maps: list[Tensor] = []

    def q_values(self, vector: Array, observations: Array) -> Array:
        """Returns Q (n, actions)."""
        maps = self._convolved(self._tensors(vector), observations)
        return self._dense.q_values(vector[self._front.size :], _features(maps))

    def forward(self, vector: Array, observations: Array) -> Array:
        """Returns Q (n, actions) and keeps every layer's output."""
        self._parameters = self._tensors(vector)
        self._maps = self._convolved(self._parameters, observations)
        return self._dense.forward(vector[self._front.size :], _features(self._maps))

    def backward(self, output_gradient: Array) -> Array:
        """Returns the flat gradient (P,) for the first m rows of the last forward."""
        maps = [each[: len(output_gradient)] for each in self._maps]
        below = np.empty((len(output_gradient), maps[-1][0].numel()), self._dtype)
        self._dense.backward(output_gradient, below)
        delta = torch.from_numpy(below).reshape(maps[-1].shape)
        for i in reversed(range(len(self._strides))):
            delta = self._layer_backward(i, maps[i], maps[i + 1], delta)
        return self._gradient

    def _layer_backward(self, i: int, inputs: Tensor, outputs: Tensor, delta: Tensor) -> Tensor:
        """Fills the layer's part of the gradient; returns the gradient of its ``inputs``, nothing useful for images."""
        weight, stride = self._parameters[f"convolution{i}.weight"], self._strides[i]
        # ReLU: the gradient passes where the unit was on.
        delta = delta * (outputs > 0.0)
        no_padding, no_dilation, one_group, wanted = [0, 0], [1, 1], 1, [i > 0, True, True]
        below, *own = torch.ops.aten.convolution_backward(
            delta, inputs, weight, [len(weight)], [stride, stride], no_padding, no_dilation, False, [0, 0], one_group,
            wanted,
        )  # fmt: skip
        for array, gradient in zip(("weight", "bias"), own, strict=True):
            np.copyto(self._gradient_views[f"convolution{i}.{array}"], gradient.numpy())
        return delta if below is None else below

    def _convolved(self, parameters: dict[str, Tensor], observations: Array) -> list[Tensor]:
        """Returns the images (n, channels, rows, columns) and what each layer makes of them."""
        maps = [self._images(observations)]
        for i, stride in enumerate(self._strides):
            weight, bias = parameters[f"convolution{i}.weight"], parameters[f"convolution{i}.bias"]
            maps.append(functional.conv2d(maps[-1], weight, bias, stride).relu_())
        return maps

    def _images(self, observations: Array) -> Tensor:
        images = torch.from_numpy(np.multiply(observations, self._scale, dtype=self._dtype))
        if self._image.channels_last:
            return images.permute(0, 3, 1, 2)
        return images.contiguous(memory_format=torch.channels_last)

    def _tensors(self, vector: Array) -> dict[str, Tensor]:
        views = self._front.views(vector[: self._front.size])
        tensors = {name: torch.tensor(view) for name, view in views.items()}
        return {
            name: each.contiguous(memory_format=torch.channels_last) if each.ndim == 4 else each
            for name, each in tensors.items()
        }


def _features(maps: list[Tensor]) -> Array:
    """Returns the last maps as rows of numbers, ordered (filters, rows, columns)."""
    features: Array = maps[-1].flatten(1).numpy()
    return features
