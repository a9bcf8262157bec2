"""Convolutional networks against independent torch modules, and what happens where torch or the image is missing."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from adql.agent.learner import DqnLearner
from adql.agent.networks import Network, check_network, make_network
from adql.config import AlgorithmSettings, NetworkSettings, OptimizerSettings, RateScheduleSettings, SignatureSettings
from adql.errors import ConfigError, MissingExtraError
from adql.parameters.initial import initial_parameters, manifest_of
from adql.types import Array, TransitionBatch

ACTIONS = 3
SHAPES = {
    "nature": (4, 84, 84),
    "nature, channels last": (84, 84, 4),
    "minatar": (10, 10, 6),
    "minatar, channels first": (6, 10, 10),
}
KINDS = [(image, dueling) for image in SHAPES for dueling in (False, True)]


class Reference(nn.Module):
    """The published architecture in torch's own words; reads channels first."""

    def __init__(self, kind: str, dueling: bool) -> None:
        super().__init__()
        self.dueling = dueling
        if kind == "nature":
            layers = [nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3, 1)]
            inputs, self.width = 3_136, 512
        else:
            layers, inputs, self.width = [nn.Conv2d(6, 16, 3, 1)], 1_024, 128
        activated = [part for layer in layers for part in (layer, nn.ReLU())]
        self.trunk = nn.Sequential(*activated, nn.Flatten(), nn.Linear(inputs, self.width * (1 + dueling)), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(self.width, n) for n in ((1, ACTIONS) if dueling else (ACTIONS,))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.trunk(x)
        if not self.dueling:
            return self.heads[0](features)
        value, advantage = (head(half) for head, half in zip(self.heads, features.split(self.width, 1), strict=True))
        return value + advantage - advantage.mean(1, keepdim=True)

    def flat(self, arrays: list[torch.Tensor]) -> Array:
        """Joins its arrays in the order of ours, whose linear weights are (inputs, outputs)."""
        return np.concatenate([(a.T if a.ndim == 2 else a).detach().numpy().ravel() for a in arrays])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def signature_of(image: str) -> SignatureSettings:
    dtype = "bool" if image.startswith("minatar") else "uint8"
    return SignatureSettings(observation_shape=SHAPES[image], observation_dtype=dtype, actions=ACTIONS)


def made(image: str, dueling: bool = False, dtype: type = np.float64) -> tuple[Network, Array]:
    settings = NetworkSettings(kind=image.partition(",")[0], dueling=dueling)
    network = make_network(settings, signature_of(image), dtype)
    return network, initial_parameters(network.manifest, settings, np.random.default_rng(0)).astype(dtype)


def observations_of(image: str, rows: int, rng: np.random.Generator) -> Array:
    if image.startswith("minatar"):
        return rng.random((rows, *SHAPES[image])) < 0.2
    return rng.integers(0, 256, (rows, *SHAPES[image]), dtype=np.uint8)


def channels_first(image: str, observations: Array) -> torch.Tensor:
    x = torch.as_tensor(observations.astype(np.float64))
    return x if SHAPES[image][1] == SHAPES[image][2] else x.permute(0, 3, 1, 2)


@pytest.mark.parametrize(("image", "dueling"), KINDS)
def test_values_and_gradient_equal_an_independent_module_in_float64(image: str, dueling: bool, rng) -> None:
    torch.manual_seed(0)
    network, _ = made(image, dueling)
    reference = Reference(image.partition(",")[0], dueling).double()
    observations, output_gradient = observations_of(image, 5, rng), rng.normal(size=(5, ACTIONS))
    q = reference(channels_first(image, observations) / (255.0 if image.startswith("nature") else 1.0))
    q.backward(torch.as_tensor(output_gradient))
    vector = reference.flat(list(reference.parameters()))
    np.testing.assert_allclose(network.forward(vector, observations), q.detach().numpy(), atol=1e-12)
    expected = reference.flat([parameter.grad for parameter in reference.parameters()])
    np.testing.assert_allclose(network.backward(output_gradient), expected, atol=1e-12)


@pytest.mark.parametrize(("image", "dueling"), KINDS)
def test_version_0_is_drawn_like_torchs_defaults(image: str, dueling: bool) -> None:
    torch.manual_seed(0)
    network, vector = made(image, dueling)
    reference = Reference(image.partition(",")[0], dueling)
    ours = list(network.manifest.views(vector).values())
    for mine, theirs in zip(ours, reference.parameters(), strict=True):
        assert mine.size == theirs.numel()
        if mine.size > 1_000:
            assert np.abs(mine).max() == pytest.approx(theirs.abs().max().item(), rel=0.01)
            assert mine.std() == pytest.approx(theirs.std().item(), rel=0.05)


@pytest.mark.parametrize("image", ["nature", "minatar"])
def test_backward_takes_only_the_first_rows_of_the_forward(image: str, rng) -> None:
    network, vector = made(image)
    observations, output_gradient = observations_of(image, 6, rng), rng.normal(size=(3, ACTIONS))
    network.forward(vector, observations)
    partial = network.backward(output_gradient).copy()
    network.forward(vector, observations[:3])
    np.testing.assert_allclose(partial, network.backward(output_gradient), atol=1e-13)


@pytest.mark.parametrize("image", ["nature", "minatar"])
def test_q_values_neither_disturb_a_pending_backward_nor_earlier_answers(image: str, rng) -> None:
    network, vector = made(image)
    observations, output_gradient = observations_of(image, 3, rng), rng.normal(size=(3, ACTIONS))
    network.forward(vector, observations)
    undisturbed = network.backward(output_gradient).copy()
    first = network.forward(vector, observations)
    kept = first.copy()
    network.q_values(-vector, observations_of(image, 2, rng))
    np.testing.assert_array_equal(network.backward(output_gradient), undisturbed)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("image", SHAPES)
def test_read_only_float32_parameters_and_observations_stay_float32(image: str, rng) -> None:
    network, vector = made(image, dtype=np.float32)
    observations = observations_of(image, 2, rng)
    vector.flags.writeable = observations.flags.writeable = False
    q = network.forward(vector, observations)
    gradient = network.backward(np.ones_like(q))
    assert (q.dtype, gradient.dtype, gradient.size) == (np.float32, np.float32, network.manifest.size)


@pytest.mark.parametrize("image", ["minatar", "minatar, channels first"])
def test_buffers_that_grew_and_shrank_change_no_answer(image: str, rng) -> None:
    network, vector = made(image)
    for rows in (3, 8, 1, 5):
        observations, output_gradient = observations_of(image, rows, rng), rng.normal(size=(rows, ACTIONS))
        fresh, _ = made(image)
        np.testing.assert_array_equal(network.forward(vector, observations), fresh.forward(vector, observations))
        np.testing.assert_array_equal(network.q_values(vector, observations), fresh.q_values(vector, observations))
        np.testing.assert_array_equal(network.backward(output_gradient), fresh.backward(output_gradient))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_minatars_planes_of_any_dtype_are_cast_and_not_scaled(dtype: type, rng) -> None:
    network, vector = made("minatar", dtype=np.float32)
    planes = observations_of("minatar", 3, rng)
    np.testing.assert_array_equal(network.q_values(vector, planes.astype(dtype)), network.q_values(vector, planes))


def test_bytes_are_scaled_and_frames_of_floats_are_not(rng) -> None:
    frames = observations_of("nature", 2, rng)
    network, vector = made("nature")
    signature = SignatureSettings(observation_shape=(4, 84, 84), observation_dtype="float32", actions=ACTIONS)
    scaled_before = make_network(NetworkSettings(kind="nature"), signature, np.float64)
    expected = scaled_before.q_values(vector, frames / 255.0)
    np.testing.assert_allclose(network.q_values(vector, frames), expected, atol=1e-12)


def test_ten_planes_of_minatar_are_channels_last() -> None:
    signature = SignatureSettings(observation_shape=(10, 10, 10), observation_dtype="bool", actions=6)
    plane = np.zeros((1, 10, 10, 10), np.bool_)
    plane[..., 3] = True
    network = make_network(NetworkSettings(kind="minatar"), signature, np.float64)
    vector = np.zeros(network.manifest.size)
    network.manifest.views(vector)["convolution0.weight"][:, 3] = 1.0
    network.forward(vector, plane)
    assert network._maps.min() == 9.0


@pytest.mark.parametrize(
    ("kind", "signature", "complaint"),
    [
        ("nature", {"observation_shape": (4,)}, r"images of shape \(84, 84, channels\) .* not a Box of shape \(4,\)"),
        ("nature", {"observation_shape": (210, 160, 3)}, r"not a Box of shape \(210, 160, 3\); wrap the environment"),
        ("minatar", {"observation_shape": (84, 84, 4)}, r"\(10, 10, channels\) .*or choose network.kind=dense"),
        ("minatar", {"observations": 16}, "not a Discrete space"),
    ],
)
def test_observations_that_are_no_such_image_are_refused(kind: str, signature: dict, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        manifest_of(NetworkSettings(kind=kind), SignatureSettings(actions=2, **signature))


def test_missing_torch_is_one_line_that_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "adql.agent.networks.convolutional", raising=False)
    with pytest.raises(MissingExtraError, match=r"network.kind=nature needs PyTorch .*pip install '\.\[torch\]'"):
        make_network(NetworkSettings(kind="nature"), signature_of("nature"))


def test_check_says_it_before_anything_is_started(monkeypatch) -> None:
    settings = NetworkSettings(kind="nature")
    check_network(settings, signature_of("nature"))
    with pytest.raises(ConfigError, match="reads images"):
        check_network(settings, signature_of("minatar"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[torch\]'"):
        check_network(settings, signature_of("nature"))
    check_network(NetworkSettings(), signature_of("nature"))
    check_network(NetworkSettings(kind="minatar"), signature_of("minatar"))


def test_other_networks_and_the_server_do_without_torch() -> None:
    program = (
        "import sys, adql.agent.actor_learner, adql.parameters.server\n"
        "from adql.agent.networks import make_network\n"
        "from adql.config import NetworkSettings, SignatureSettings\n"
        "from adql.parameters.initial import manifest_of\n"
        "make_network(NetworkSettings(), SignatureSettings(observation_shape=(4,), actions=2))\n"
        "planes = SignatureSettings(observation_shape=(10, 10, 4), actions=2)\n"
        "make_network(NetworkSettings(kind='minatar'), planes)\n"
        "manifest_of(NetworkSettings(kind='nature'), SignatureSettings(observation_shape=(4, 84, 84), actions=2))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("image", ["nature", "minatar"])
def test_a_learner_fits_fixed_targets_on_images(image: str, rng) -> None:
    """Terminal transitions of reward 0, 1 and 2: Q(s, a) is the reward, and the loss falls under 1 % of its start."""
    network, vector = made(image, dtype=np.float32)
    observations = observations_of(image, 6, rng)
    batch = TransitionBatch(
        observation=observations,
        action=np.arange(6, dtype=np.int32) % ACTIONS,
        reward=(np.arange(6) % 3).astype(np.float32),
        discount=np.zeros(6, np.float32),
        next_observation=observations,
    )
    algorithm = AlgorithmSettings(
        optimizer=OptimizerSettings(kind="adam"), learning_rate=RateScheduleSettings(initial=1e-3)
    )
    learner = DqnLearner(network, algorithm, vector)
    losses = [learner.step(batch, None, clock).loss for clock in range(40)]
    assert losses[-1] < 0.01 * losses[0]
