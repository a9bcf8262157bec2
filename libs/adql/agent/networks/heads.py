"""The last layers: from features to action values, forwards and backwards, on views into the flat vector."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from adql.types import Array

Views = Mapping[str, Array]
"""Named arrays of the flat parameter vector, or of its gradient."""


class Head(Protocol):
    """Turns features (n, width) into Q (n, actions)."""

    def forward(self, parameters: Views, features: Array) -> Array:
        """Returns a new array (n, actions)."""

    def backward(self, parameters: Views, gradient: Views, features: Array, output: Array, below: Array) -> None:
        """Fills the head's arrays of ``gradient``, and ``below`` (n, width) with the gradient of ``features``."""


class LinearHead:
    """Q = features · W + b."""

    def forward(self, parameters: Views, features: Array) -> Array:
        """Returns a new array (n, actions)."""
        return _affine(parameters, "q", features)

    def backward(self, parameters: Views, gradient: Views, features: Array, output: Array, below: Array) -> None:
        """Fills ``q.weight`` and ``q.bias`` of ``gradient`` and ``below``."""
        _affine_backward(parameters, gradient, "q", features, output, below)


class DuelingHead:
    """Q = V + A − mean(A): the left half of the features feeds V, the right half A (1511.06581, equation 9)."""

    def forward(self, parameters: Views, features: Array) -> Array:
        """Returns a new array (n, actions)."""
        half = features.shape[1] // 2
        advantage = _affine(parameters, "advantage", features[:, half:])
        advantage -= advantage.mean(axis=1, keepdims=True)
        advantage += _affine(parameters, "value", features[:, :half])
        return advantage

    def backward(self, parameters: Views, gradient: Views, features: Array, output: Array, below: Array) -> None:
        """Fills the arrays of both streams in ``gradient`` and ``below``."""
        half = features.shape[1] // 2
        value = output.sum(axis=1, keepdims=True)
        advantage = output - value / output.shape[1]
        _affine_backward(parameters, gradient, "value", features[:, :half], value, below[:, :half])
        _affine_backward(parameters, gradient, "advantage", features[:, half:], advantage, below[:, half:])


def _affine(parameters: Views, layer: str, inputs: Array) -> Array:
    outputs: Array = inputs @ parameters[f"{layer}.weight"]
    outputs += parameters[f"{layer}.bias"]
    return outputs


def _affine_backward(p: Views, gradient: Views, layer: str, inputs: Array, output: Array, below: Array) -> None:
    np.matmul(inputs.T, output, out=gradient[f"{layer}.weight"])
    np.sum(output, axis=0, out=gradient[f"{layer}.bias"])
    np.matmul(output, p[f"{layer}.weight"].T, out=below)
