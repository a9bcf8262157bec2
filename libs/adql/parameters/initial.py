"""The shape of a network's parameters and their first version; numpy alone, so that the server needs no torch."""

from itertools import pairwise

import numpy as np

from adql.config import NetworkSettings, SignatureSettings
from adql.errors import ConfigError
from adql.types import ArraySpec, Float32Array, Manifest


def manifest_of(network: NetworkSettings, signature: SignatureSettings) -> Manifest:
    """Returns how the flat vector of ``network`` is cut into arrays.

    A table is one array (observations, actions). A dense network has ``hidden<i>.weight`` (inputs, outputs) and
    ``hidden<i>.bias``, then ``q``; a dueling one has ``value`` and ``advantage`` instead, and its last hidden layer is
    twice as wide: the left half is the value stream's own, the right half the advantage stream's (1511.06581).

    Raises:
        ConfigError: a table over a Box, or dueling streams without a hidden layer.
    """
    if network.kind == "tabular":
        return Manifest((ArraySpec("table", (_table_rows(signature), signature.actions)),))
    hidden = _hidden_widths(network)
    widths = (input_width(signature), *hidden)
    layers = [_linear(f"hidden{i}", *inout) for i, inout in enumerate(pairwise(widths))]
    return Manifest(
        tuple(spec for layer in [*layers, *_heads(network, widths[-1], signature.actions)] for spec in layer)
    )


def initial_parameters(manifest: Manifest, network: NetworkSettings, rng: np.random.Generator) -> Float32Array:
    """Returns version 0, shape (P,).

    Weights and biases are uniform in ±1/√(inputs of their layer), PyTorch's default for linear layers; a table is
    ``network.initial_value`` everywhere.
    """
    vector = np.full(manifest.size, network.initial_value if network.kind == "tabular" else 0.0, dtype=np.float32)
    views = manifest.views(vector)
    for name, view in views.items():
        layer, _, array = name.rpartition(".")
        if array in ("weight", "bias"):
            bound = len(views[f"{layer}.weight"]) ** -0.5
            view[...] = rng.uniform(-bound, bound, view.shape)
    return vector


def input_width(signature: SignatureSettings) -> int:
    """Returns how many numbers a dense network reads: a flattened Box, or a one-hot Discrete."""
    return signature.observations or int(np.prod(signature.observation_shape, dtype=np.int64))


def _table_rows(signature: SignatureSettings) -> int:
    if signature.observations is None:
        raise ConfigError(
            f"network.kind=tabular needs Discrete observations, not a Box of shape {signature.observation_shape}; "
            "choose network.kind=dense"
        )
    return signature.observations


def _hidden_widths(network: NetworkSettings) -> tuple[int, ...]:
    if not network.dueling:
        return network.hidden
    if not network.hidden:
        raise ConfigError("network.dueling=true needs at least one layer in network.hidden, such as [256]")
    return (*network.hidden[:-1], 2 * network.hidden[-1])


def _heads(network: NetworkSettings, width: int, actions: int) -> list[list[ArraySpec]]:
    if network.dueling:
        return [_linear("value", width // 2, 1), _linear("advantage", width // 2, actions)]
    return [_linear("q", width, actions)]


def _linear(name: str, inputs: int, outputs: int) -> list[ArraySpec]:
    return [ArraySpec(f"{name}.weight", (inputs, outputs)), ArraySpec(f"{name}.bias", (outputs,))]
