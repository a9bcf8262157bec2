"""Networks against torch: the same parameters, the same Q, the same gradient."""

import numpy as np
import pytest
import torch

from adql.agent.networks import Network, make_network
from adql.config import NetworkSettings, SignatureSettings
from adql.errors import ConfigError
from adql.parameters.initial import initial_parameters
from adql.types import Array

BOX = SignatureSettings(observation_shape=(2, 3), actions=4)
DISCRETE = SignatureSettings(observations=7, observation_dtype="int64", actions=4)
NETWORKS = {
    "dense": NetworkSettings(hidden=(16, 8)),
    "linear": NetworkSettings(hidden=()),
    "dueling": NetworkSettings(hidden=(16, 8), dueling=True),
    "shallow dueling": NetworkSettings(hidden=(16,), dueling=True),
    "tabular": NetworkSettings(kind="tabular", initial_value=0.5),
}
DIFFERENTIABLE = [(name, BOX) for name in NETWORKS if name != "tabular"] + [(name, DISCRETE) for name in NETWORKS]

torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def observations_of(signature: SignatureSettings, rows: int, rng: np.random.Generator) -> Array:
    if signature.observations is not None:
        return rng.integers(0, signature.observations, rows)
    return rng.normal(size=(rows, *signature.observation_shape))


def made(name: str, signature: SignatureSettings, rng: np.random.Generator) -> tuple[Network, Array]:
    network = make_network(NETWORKS[name], signature, np.float64)
    return network, initial_parameters(network.manifest, NETWORKS[name], rng).astype(np.float64)


def torch_q_values(network: Network, vector: torch.Tensor, observations: Array) -> torch.Tensor:
    """The same function in torch: cut by the manifest, differentiable with respect to ``vector``."""
    sizes = [entry.size for entry in network.manifest.entries]
    p = {
        entry.name: part.reshape(entry.shape)
        for entry, part in zip(network.manifest.entries, vector.split(sizes), strict=True)
    }
    if "table" in p:
        return p["table"][torch.as_tensor(observations)]
    x = torch.as_tensor(observations)
    width = len(next(iter(p.values())))
    x = x.flatten(1) if x.ndim > 1 else torch.nn.functional.one_hot(x, width).double()
    for i in range(sum(name.startswith("hidden") for name in p) // 2):
        x = torch.relu(x @ p[f"hidden{i}.weight"] + p[f"hidden{i}.bias"])
    if "q.weight" in p:
        return x @ p["q.weight"] + p["q.bias"]
    left, right = x.chunk(2, dim=1)
    advantage = right @ p["advantage.weight"] + p["advantage.bias"]
    return left @ p["value.weight"] + p["value.bias"] + advantage - advantage.mean(1, keepdim=True)


@pytest.mark.parametrize(("name", "signature"), DIFFERENTIABLE)
def test_gradient_equals_torch_in_float64(name: str, signature: SignatureSettings, rng: np.random.Generator) -> None:
    network, vector = made(name, signature, rng)
    observations, output_gradient = observations_of(signature, 9, rng), rng.normal(size=(9, 4))
    leaf = torch.tensor(vector, requires_grad=True)
    q = torch_q_values(network, leaf, observations)
    q.backward(torch.as_tensor(output_gradient))
    np.testing.assert_allclose(network.forward(vector, observations), q.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(network.backward(output_gradient), leaf.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_backward_takes_only_the_first_rows_of_the_forward(name: str, rng: np.random.Generator) -> None:
    network, vector = made(name, DISCRETE, rng)
    observations, output_gradient = observations_of(DISCRETE, 10, rng), rng.normal(size=(6, 4))
    network.forward(vector, observations)
    partial = network.backward(output_gradient).copy()
    network.forward(vector, observations[:6])
    np.testing.assert_allclose(partial, network.backward(output_gradient), atol=1e-14)


@pytest.mark.parametrize("name", NETWORKS)
def test_q_values_do_not_disturb_a_pending_backward(name: str, rng: np.random.Generator) -> None:
    network, vector = made(name, DISCRETE, rng)
    observations, output_gradient = observations_of(DISCRETE, 5, rng), rng.normal(size=(5, 4))
    network.forward(vector, observations)
    undisturbed = network.backward(output_gradient).copy()
    network.forward(vector, observations)
    network.q_values(-vector, observations_of(DISCRETE, 4, rng))
    np.testing.assert_array_equal(network.backward(output_gradient), undisturbed)


@pytest.mark.parametrize("name", NETWORKS)
def test_earlier_answers_survive_later_calls(name: str, rng: np.random.Generator) -> None:
    network, vector = made(name, DISCRETE, rng)
    observations = observations_of(DISCRETE, 5, rng)
    first = network.q_values(vector, observations)
    kept = first.copy()
    network.q_values(2 * vector, observations)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_stays_float32(name: str, rng: np.random.Generator) -> None:
    network = make_network(NETWORKS[name], DISCRETE)
    vector = initial_parameters(network.manifest, NETWORKS[name], rng)
    q = network.forward(vector, observations_of(DISCRETE, 3, rng))
    assert (q.dtype, network.backward(q).dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int32, np.float64])
def test_observations_of_any_dtype_are_cast_and_not_scaled(dtype: type, rng: np.random.Generator) -> None:
    network = make_network(NETWORKS["dense"], BOX)
    vector = initial_parameters(network.manifest, NETWORKS["dense"], rng)
    observations = rng.integers(0, 2, (3, 2, 3)).astype(dtype)
    expected = network.q_values(vector, observations.astype(np.float32))
    np.testing.assert_array_equal(network.q_values(vector, observations), expected)


def test_dueling_advantages_have_mean_zero(rng: np.random.Generator) -> None:
    network, vector = made("dueling", BOX, rng)
    before = network.q_values(vector, observations_of(BOX, 1, rng=np.random.default_rng(0)))
    network.manifest.views(vector)["advantage.bias"][...] += 3.0
    after = network.q_values(vector, observations_of(BOX, 1, rng=np.random.default_rng(0)))
    np.testing.assert_allclose(after, before, atol=1e-12)


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (NetworkSettings(kind="tabular"), r"network.kind=tabular needs Discrete"),
        (NetworkSettings(hidden=(), dueling=True), r"network.dueling=true needs at least one layer"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(network: NetworkSettings, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make_network(network, BOX)
