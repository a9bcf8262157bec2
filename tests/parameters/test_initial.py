"""Manifests and version 0."""

import numpy as np
import pytest

from adql.config import NetworkSettings, SignatureSettings
from adql.parameters.initial import initial_parameters, manifest_of

BOX = SignatureSettings(observation_shape=(10, 10), observation_dtype="uint8", actions=3)
DISCRETE = SignatureSettings(observations=16, actions=4)


def shapes(network: NetworkSettings, signature: SignatureSettings) -> dict[str, tuple[int, ...]]:
    return {entry.name: entry.shape for entry in manifest_of(network, signature).entries}


def test_a_dense_network_has_a_weight_and_a_bias_a_layer() -> None:
    assert shapes(NetworkSettings(hidden=(32,)), BOX) == {
        "hidden0.weight": (100, 32),
        "hidden0.bias": (32,),
        "q.weight": (32, 3),
        "q.bias": (3,),
    }


def test_dueling_streams_have_a_last_hidden_layer_each() -> None:
    dueling = shapes(NetworkSettings(hidden=(32, 8), dueling=True), DISCRETE)
    assert dueling["hidden1.weight"] == (32, 16)
    assert (dueling["value.weight"], dueling["advantage.weight"]) == ((8, 1), (8, 4))


def test_a_table_has_one_entry_a_pair_and_starts_at_its_value() -> None:
    network = NetworkSettings(kind="tabular", initial_value=-2.5)
    manifest = manifest_of(network, DISCRETE)
    vector = initial_parameters(manifest, network, np.random.default_rng(0))
    assert vector.shape == (64,)
    assert (vector == -2.5).all()


@pytest.mark.parametrize("layer", ["hidden0", "hidden1", "q"])
def test_weights_and_biases_are_uniform_within_one_over_root_of_inputs(layer: str) -> None:
    network = NetworkSettings(hidden=(256, 64))
    manifest = manifest_of(network, BOX)
    views = manifest.views(initial_parameters(manifest, network, np.random.default_rng(0)))
    weight, bound = views[f"{layer}.weight"], len(views[f"{layer}.weight"]) ** -0.5
    assert 0.0 < np.abs(views[f"{layer}.bias"]).max() <= bound
    assert bound * 0.95 < np.abs(weight).max() <= bound
    assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)


def test_version_0_depends_on_the_seed_alone() -> None:
    network = NetworkSettings()
    manifest = manifest_of(network, BOX)
    one, same, other = (initial_parameters(manifest, network, np.random.default_rng(s)) for s in (3, 3, 4))
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
