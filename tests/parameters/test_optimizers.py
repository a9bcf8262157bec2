"""Optimizers against torch.optim in float64, and what the parameter server needs of them."""

import numpy as np
import pytest
import torch

from adql.config import OptimizerSettings
from adql.errors import CheckpointError
from adql.parameters import optimizers
from adql.parameters.optimizers import make_optimizer

SIZE, STEPS = 50, 150
SETTINGS = {
    "sgd": OptimizerSettings(kind="sgd"),
    "momentum": OptimizerSettings(kind="sgd", momentum=0.9),
    "rmsprop": OptimizerSettings(kind="rmsprop", decay=0.95, epsilon=1e-6),
    "centered": OptimizerSettings(kind="rmsprop", decay=0.95, epsilon=0.01, centered=True),
    "adam": OptimizerSettings(kind="adam", beta1=0.8, beta2=0.99, epsilon=1e-4),
    "adagrad": OptimizerSettings(kind="adagrad", epsilon=1e-6),
}

torch.set_num_threads(1)


def torch_optimizer(s: OptimizerSettings, parameter: torch.Tensor) -> torch.optim.Optimizer:
    make = {
        "sgd": lambda: torch.optim.SGD([parameter], lr=1.0, momentum=s.momentum),
        "rmsprop": lambda: torch.optim.RMSprop([parameter], alpha=s.decay, eps=s.epsilon, centered=s.centered),
        "adam": lambda: torch.optim.Adam([parameter], betas=(s.beta1, s.beta2), eps=s.epsilon),
        "adagrad": lambda: torch.optim.Adagrad([parameter], eps=s.epsilon),
    }
    return make[s.kind]()


def random_steps(seed: int = 0) -> list[tuple[np.ndarray, float]]:
    """Gradients of very different sizes, some exactly 0, and a learning rate that changes."""
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(STEPS, SIZE)) * 10.0 ** rng.integers(-4, 3, SIZE) * (rng.random((STEPS, SIZE)) > 0.3)
    return [(gradient, 0.01 / (1 + i)) for i, gradient in enumerate(gradients)]


@pytest.mark.parametrize("name", SETTINGS)
def test_150_steps_equal_torch_in_float64(name: str) -> None:
    start = np.random.default_rng(1).normal(size=SIZE)
    vector, parameter = start.copy(), torch.nn.Parameter(torch.tensor(start))
    ours, theirs = make_optimizer(SETTINGS[name], SIZE, np.float64), torch_optimizer(SETTINGS[name], parameter)
    for gradient, rate in random_steps():
        ours.step(vector, gradient, rate)
        theirs.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient)
        theirs.step()
        np.testing.assert_allclose(vector, parameter.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SETTINGS)
def test_blocks_do_not_change_the_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = np.zeros(SIZE), np.zeros(SIZE)
    one = make_optimizer(SETTINGS[name], SIZE, np.float64)
    monkeypatch.setattr(optimizers, "BLOCK", 16)
    several = make_optimizer(SETTINGS[name], SIZE, np.float64)
    for gradient, rate in random_steps()[:5]:
        one.step(whole, gradient, rate)
        several.step(cut, gradient, rate)
    np.testing.assert_array_equal(whole, cut)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_loaded_state_goes_on_exactly(name: str) -> None:
    steps, vector = random_steps(), np.zeros(SIZE)
    first = make_optimizer(SETTINGS[name], SIZE, np.float64)
    for gradient, rate in steps[:50]:
        first.step(vector, gradient, rate)
    second, copy = make_optimizer(SETTINGS[name], SIZE, np.float64), vector.copy()
    second.load(first.state())
    for gradient, rate in steps[50:]:
        first.step(vector, gradient, rate)
        second.step(copy, gradient, rate)
    np.testing.assert_array_equal(vector, copy)


def test_state_counts_steps_and_load_copies() -> None:
    one, other = (make_optimizer(SETTINGS["adam"], SIZE) for _ in range(2))
    one.step(np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32), 0.1)
    other.load(one.state())
    one.step(np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32), 0.1)
    assert (one.state()["step"].tolist(), other.state()["step"].tolist()) == ([2], [1])
    assert not np.array_equal(one.state()["mean"], other.state()["mean"])


@pytest.mark.parametrize("broken", ["a missing moment", "another size", "an unknown moment"])
def test_a_foreign_state_is_refused_and_changes_nothing(broken: str) -> None:
    optimizer = make_optimizer(SETTINGS["rmsprop"], SIZE)
    state = {"step": np.ones(1, np.int64), "mean_square": np.ones(SIZE, np.float32)}
    state = {
        "a missing moment": {"step": state["step"]},
        "another size": state | {"mean_square": np.ones(SIZE + 1, np.float32)},
        "an unknown moment": state | {"mean": np.ones(SIZE, np.float32)},
    }[broken]
    with pytest.raises(CheckpointError, match="rmsprop needs"):
        optimizer.load(state)
    assert not any(array.any() for array in optimizer.state().values())


@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_only_reads_the_gradient(name: str) -> None:
    gradient = np.full(SIZE, 0.5, np.float32)
    make_optimizer(SETTINGS[name], SIZE).step(np.zeros(SIZE, np.float32), gradient, 0.1)
    assert (gradient == 0.5).all()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_numpy_learning_rate_does_not_leave_float32_arithmetic(name: str) -> None:
    gradients = np.random.default_rng(0).normal(size=(20, SIZE)).astype(np.float32)
    vectors = np.zeros((2, SIZE), np.float32)
    for vector, rate in zip(vectors, (0.1, np.float64(0.1)), strict=True):
        optimizer = make_optimizer(SETTINGS[name], SIZE)
        for gradient in gradients:
            optimizer.step(vector, gradient, rate)
    np.testing.assert_array_equal(*vectors)


def test_centered_rmsprop_stays_finite_under_a_steady_gradient_in_float32() -> None:
    vector, gradient = np.zeros(SIZE, np.float32), np.linspace(0.1, 1.7, SIZE, dtype=np.float32)
    optimizer = make_optimizer(OptimizerSettings(kind="rmsprop", centered=True, epsilon=1e-3), SIZE)
    for _ in range(500):
        optimizer.step(vector, gradient, 1e-3)
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("settings", [OptimizerSettings(), OptimizerSettings(kind="sgd", momentum=0.5)])
def test_moments_of_dead_units_never_become_subnormal(settings: OptimizerSettings):
    optimizer, vector = make_optimizer(settings, 8), np.zeros(8, np.float32)
    optimizer.step(vector, np.ones(8, np.float32), 0.001)
    for _ in range(2_000):
        optimizer.step(vector, np.zeros(8, np.float32), 0.001)
        for name, moment in optimizer.state().items():
            smallest = np.abs(moment[moment != 0]).min(initial=1.0)
            assert name == "step" or smallest >= np.finfo(np.float32).tiny
