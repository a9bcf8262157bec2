"""The shape of a network's parameters and their first version; numpy alone, so that the server needs no torch."""

from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np

from adql.config import NetworkSettings, SignatureSettings
from adql.errors import ConfigError
from adql.types import Array, ArraySpec, Float32Array, Manifest


class Convolution(NamedTuple):
    """One layer of square filters without padding, followed by ReLU."""

    filters: int
    kernel: int
    stride: int


class ImageNetwork(NamedTuple):
    """Convolutions over a square image, then one fully connected layer and the head."""

    side: int
    """Rows and columns of the image."""
    convolutions: tuple[Convolution, ...]
    hidden: int

    @property
    def map_side(self) -> int:
        """Rows and columns of what the last convolution makes."""
        side = self.side
        for layer in self.convolutions:
            side = (side - layer.kernel) // layer.stride + 1
        return side


IMAGE_NETWORKS = {
    "nature": ImageNetwork(84, (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)), 512),
    "minatar": ImageNetwork(10, (Convolution(16, 3, 1),), 128),
}
"""By ``network.kind``: DQN's (Mnih 2015) and MinAtar's (1903.03176)."""


class ImageFormat(NamedTuple):
    """How one image lies in an observation."""

    channels: int
    """Frames of a stack, or planes."""
    channels_last: bool
    """True for (rows, columns, channels), false for (channels, rows, columns)."""


def manifest_of(network: NetworkSettings, signature: SignatureSettings) -> Manifest:
    """Returns how the flat vector of ``network`` is cut into arrays.

    A table is one array (observations, actions). A dense network has ``hidden<i>.weight`` (inputs, outputs) and
    ``hidden<i>.bias``, then ``q``; a dueling one has ``value`` and ``advantage`` instead, and its last hidden layer is
    twice as wide: the left half is the value stream's own, the right half the advantage stream's (1511.06581). A
    convolutional network begins with ``convolution<i>.weight`` (filters, channels, kernel, kernel) and
    ``convolution<i>.bias``; the rows of its ``hidden0.weight`` are in the order (filters, rows, columns).

    Raises:
        ConfigError: a table over a Box, convolutions over anything but an image of their size, or dueling streams
            without a hidden layer.
    """
    if network.kind == "tabular":
        return Manifest((ArraySpec("table", (_table_rows(signature), signature.actions)),))
    convolutions, width = _convolutions(network, signature)
    widths = (width, *_hidden_widths(network))
    layers = [_linear(f"hidden{i}", *inout) for i, inout in enumerate(pairwise(widths))]
    heads = _heads(network, widths[-1], signature.actions)
    return Manifest(tuple(spec for layer in [*convolutions, *layers, *heads] for spec in layer))


def initial_parameters(manifest: Manifest, network: NetworkSettings, rng: np.random.Generator) -> Float32Array:
    """Returns version 0, shape (P,).

    Weights and biases are uniform in ±1/√(inputs of one of their units), PyTorch's default for linear layers and
    convolutions; a table is ``network.initial_value`` everywhere.
    """
    vector = np.full(manifest.size, network.initial_value if network.kind == "tabular" else 0.0, dtype=np.float32)
    views = manifest.views(vector)
    for name, view in views.items():
        layer, _, array = name.rpartition(".")
        if array in ("weight", "bias"):
            bound = _inputs_of_a_unit(views[f"{layer}.weight"]) ** -0.5
            view[...] = rng.uniform(-bound, bound, view.shape)
    return vector


def input_width(signature: SignatureSettings) -> int:
    """Returns how many numbers a dense network reads: a flattened Box, or a one-hot Discrete."""
    return signature.observations or int(np.prod(signature.observation_shape, dtype=np.int64))


def image_format(kind: str, signature: SignatureSettings) -> ImageFormat:
    """Returns how the observations hold the images that the network ``kind`` reads.

    Raises:
        ConfigError: they are no images of its size.
    """
    side, shape = IMAGE_NETWORKS[kind].side, signature.observation_shape
    # Last is looked at first: ten planes of MinAtar's 10 × 10 fit both ways.
    if len(shape) == 3 and shape[:2] == (side, side):
        return ImageFormat(shape[2], channels_last=True)
    if len(shape) == 3 and shape[1:] == (side, side):
        return ImageFormat(shape[0], channels_last=False)
    seen = f"a Box of shape {shape}" if signature.observations is None else "a Discrete space"
    raise ConfigError(
        f"network.kind={kind} reads images of shape ({side}, {side}, channels) or (channels, {side}, {side}), "
        f"not {seen}; wrap the environment so that it gives them, or choose network.kind=dense"
    )


def _table_rows(signature: SignatureSettings) -> int:
    if signature.observations is None:
        raise ConfigError(
            f"network.kind=tabular needs Discrete observations, not a Box of shape {signature.observation_shape}; "
            "choose network.kind=dense"
        )
    return signature.observations


def _convolutions(network: NetworkSettings, signature: SignatureSettings) -> tuple[list[list[ArraySpec]], int]:
    """Returns the convolutions, none for a dense network, and how many numbers the layer behind them reads."""
    if network.kind not in IMAGE_NETWORKS:
        return [], input_width(signature)
    image, channels = IMAGE_NETWORKS[network.kind], image_format(network.kind, signature).channels
    inputs = [channels, *(layer.filters for layer in image.convolutions)]
    layers = [
        [
            ArraySpec(f"convolution{i}.weight", (layer.filters, inputs[i], layer.kernel, layer.kernel)),
            ArraySpec(f"convolution{i}.bias", (layer.filters,)),
        ]
        for i, layer in enumerate(image.convolutions)
    ]
    return layers, inputs[-1] * image.map_side**2


def _inputs_of_a_unit(weight: Array) -> int:
    return prod(weight.shape[1:]) if weight.ndim == 4 else len(weight)


def _hidden_widths(network: NetworkSettings) -> tuple[int, ...]:
    hidden = (IMAGE_NETWORKS[network.kind].hidden,) if network.kind in IMAGE_NETWORKS else network.hidden
    if not network.dueling:
        return hidden
    if not hidden:
        raise ConfigError("network.dueling=true needs at least one layer in network.hidden, such as [256]")
    return (*hidden[:-1], 2 * hidden[-1])


def _heads(network: NetworkSettings, width: int, actions: int) -> list[list[ArraySpec]]:
    if network.dueling:
        return [_linear("value", width // 2, 1), _linear("advantage", width // 2, actions)]
    return [_linear("q", width, actions)]


def _linear(name: str, inputs: int, outputs: int) -> list[ArraySpec]:
    return [ArraySpec(f"{name}.weight", (inputs, outputs)), ArraySpec(f"{name}.bias", (outputs,))]
