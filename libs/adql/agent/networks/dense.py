"""Fully connected ReLU layers and a head, with a backward pass written by hand; numpy on reused buffers."""

import numpy as np
import numpy.typing as npt

from adql.agent.networks.heads import Head, Views
from adql.types import Array, Manifest


class DenseNetwork:
    """Reads a Box flattened and cast (never scaled), or a Discrete observation as a one-hot row.

    ``gradient`` (P,) is the buffer that ``backward`` fills, one of its own unless given.
    """

    is_table = False

    def __init__(
        self,
        manifest: Manifest,
        head: Head,
        observations: int | None,
        dtype: npt.DTypeLike,
        gradient: Array | None = None,
    ) -> None:
        self.manifest = manifest
        self._head, self._one_hot_width, self._dtype = head, observations, np.dtype(dtype)
        self._layout = _layout(manifest)
        self._widths = [e.shape[1] for e in manifest.entries if e.name.startswith("hidden") and len(e.shape) == 2]
        self._acting, self._kept, self._below = (_Rows(self._widths, self._dtype) for _ in range(3))
        self._gradient = np.zeros(manifest.size, self._dtype) if gradient is None else gradient
        self._gradient_views = self._views(self._gradient)
        self._parameters: Views = {}
        self._activations: list[Array] = []

    def q_values(self, vector: Array, observations: Array) -> Array:
        """Returns Q (n, actions)."""
        parameters = self._views(vector)
        return self._head.forward(parameters, self._features(parameters, observations, self._acting)[-1])

    def forward(self, vector: Array, observations: Array) -> Array:
        """Returns Q (n, actions) and keeps every layer's activation."""
        self._parameters = self._views(vector)
        self._activations = self._features(self._parameters, observations, self._kept)
        return self._head.forward(self._parameters, self._activations[-1])

    def backward(self, output_gradient: Array, inputs_gradient: Array | None = None) -> Array:
        """Returns the flat gradient (P,) for the first m rows of the last forward.

        ``inputs_gradient`` (m, inputs), where given, is filled with the gradient of the observations.
        """
        rows = len(output_gradient)
        inputs, *hidden = [activation[:rows] for activation in self._activations]
        deltas = self._below.first(rows)
        last = deltas[-1] if hidden else inputs_gradient
        if last is None:  # nobody wants it, and the head has to write it somewhere
            last = np.empty_like(inputs)
        self._head.backward(
            self._parameters, self._gradient_views, hidden[-1] if hidden else inputs, output_gradient, last
        )
        for i in reversed(range(1, len(hidden))):
            self._layer_backward(i, hidden[i - 1], hidden[i], deltas[i], deltas[i - 1])
        if hidden:
            self._layer_backward(0, inputs, hidden[0], deltas[0], inputs_gradient)
        return self._gradient

    def _layer_backward(self, i: int, inputs: Array, outputs: Array, delta: Array, below: Array | None) -> None:
        # ReLU: the gradient passes where the unit was on.
        np.multiply(delta, outputs > 0.0, out=delta)
        np.matmul(inputs.T, delta, out=self._gradient_views[f"hidden{i}.weight"])
        np.sum(delta, axis=0, out=self._gradient_views[f"hidden{i}.bias"])
        if below is not None:
            np.matmul(delta, self._parameters[f"hidden{i}.weight"].T, out=below)

    def _features(self, parameters: Views, observations: Array, buffers: "_Rows") -> list[Array]:
        activations = [self._encoded(observations)]
        for i, outputs in enumerate(buffers.first(len(observations))):
            np.matmul(activations[-1], parameters[f"hidden{i}.weight"], out=outputs)
            outputs += parameters[f"hidden{i}.bias"]
            # ReLU; np.maximum with a scalar takes three times as long.
            activations.append(np.clip(outputs, 0.0, np.inf, out=outputs))
        return activations

    def _encoded(self, observations: Array) -> Array:
        rows = len(observations)
        if self._one_hot_width is None:
            return observations.reshape(rows, -1).astype(self._dtype, copy=False)
        encoded = np.zeros((rows, self._one_hot_width), self._dtype)
        encoded[np.arange(rows), observations] = 1.0
        return encoded

    def _views(self, vector: Array) -> Views:
        return {name: vector[part].reshape(shape) for name, part, shape in self._layout}


class _Rows:
    """One buffer (rows, width) a layer, grown to the largest number of rows ever asked for."""

    def __init__(self, widths: list[int], dtype: npt.DTypeLike) -> None:
        self._buffers = [np.empty((0, width), dtype) for width in widths]

    def first(self, rows: int) -> list[Array]:
        if self._buffers and rows > len(self._buffers[0]):
            self._buffers = [np.empty((rows, buffer.shape[1]), buffer.dtype) for buffer in self._buffers]
        return [buffer[:rows] for buffer in self._buffers]


def _layout(manifest: Manifest) -> list[tuple[str, slice, tuple[int, ...]]]:
    """Returns name, part of the flat vector and shape of each array: manifest.views without its arithmetic."""
    layout, offset = [], 0
    for entry in manifest.entries:
        layout.append((entry.name, slice(offset, offset + entry.size), entry.shape))
        offset += entry.size
    return layout
