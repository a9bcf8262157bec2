"""The learner: what a step changes, what it reports, and how the target network follows the run's clock."""

from dataclasses import replace

import numpy as np
import pytest

from adql.agent.learner import DqnLearner, StepResult
from adql.agent.networks import make_network
from adql.config import (
    AlgorithmSettings,
    NetworkSettings,
    OptimizerSettings,
    RateScheduleSettings,
    SignatureSettings,
    TargetSettings,
)
from adql.parameters.initial import initial_parameters
from adql.types import TransitionBatch

SGD = OptimizerSettings(kind="sgd")
PERIODIC = AlgorithmSettings(target=TargetSettings(kind="periodic", period_learner_steps=100))
SOFT = AlgorithmSettings(target=TargetSettings(kind="soft", tau=0.1))
STATES, ACTIONS = 6, 3


def dense_learner(algorithm: AlgorithmSettings, dtype: type = np.float32, **network: object) -> DqnLearner:
    settings = NetworkSettings(hidden=(16,), **network)
    made = make_network(settings, SignatureSettings(observation_shape=(4,), actions=ACTIONS), dtype)
    return DqnLearner(
        made, algorithm, initial_parameters(made.manifest, settings, np.random.default_rng(0)).astype(dtype)
    )


def table_learner(rate: float, **algorithm: object) -> DqnLearner:
    network = make_network(NetworkSettings(kind="tabular"), SignatureSettings(observations=STATES, actions=ACTIONS))
    settings = AlgorithmSettings(optimizer=SGD, learning_rate=RateScheduleSettings(initial=rate), **algorithm)
    return DqnLearner(network, settings, np.random.default_rng(1).normal(size=STATES * ACTIONS).astype(np.float32))


def batch_of(rows: int, seed: int = 0) -> TransitionBatch:
    rng = np.random.default_rng(seed)
    return TransitionBatch(
        observation=rng.normal(size=(rows, 4)).astype(np.float32),
        action=rng.integers(0, ACTIONS, rows).astype(np.int32),
        reward=rng.normal(size=rows).astype(np.float32),
        discount=np.full(rows, 0.99, np.float32),
        next_observation=rng.normal(size=(rows, 4)).astype(np.float32),
    )


def table_batch(state: list[int], action: list[int], reward: list[float], discount: list[float]) -> TransitionBatch:
    columns = np.array(action, np.int32), np.array(reward, np.float32), np.array(discount, np.float32)
    return TransitionBatch(np.array(state), *columns, next_observation=np.roll(state, 1))


def test_a_new_learner_starts_with_the_target_at_the_online_vector() -> None:
    learner = dense_learner(PERIODIC)
    np.testing.assert_array_equal(learner.target_vector, learner.vector)
    assert not np.shares_memory(learner.target_vector, learner.vector)


def test_a_step_changes_the_online_vector_alone() -> None:
    learner = dense_learner(PERIODIC)
    before = learner.vector.copy()
    learner.step(batch_of(8), None, learner_clock=0)
    assert not np.array_equal(learner.vector, before)
    np.testing.assert_array_equal(learner.target_vector, before)


def test_the_gradient_alone_changes_nothing() -> None:
    learner = dense_learner(PERIODIC)
    before = learner.vector.copy()
    gradient, result = learner.gradient(batch_of(8), None)
    np.testing.assert_array_equal(learner.vector, before)
    assert np.linalg.norm(gradient) == pytest.approx(result.gradient_norm, rel=1e-5)


@pytest.mark.parametrize("double", [True, False])
def test_the_gradient_is_the_derivative_of_the_loss(double: bool) -> None:
    learner = dense_learner(AlgorithmSettings(double=double, max_gradient_norm=None), np.float64)
    batch, weights, direction = (
        batch_of(8),
        np.linspace(0.1, 1, 8),
        np.random.default_rng(2).normal(size=len(learner.vector)),
    )
    gradient = learner.gradient(batch, weights)[0].copy()
    start, losses = learner.vector.copy(), []
    for shift in (1e-6, -1e-6):
        learner.vector[:] = start + shift * direction
        losses.append(learner.gradient(batch, weights)[1].loss)
    assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(gradient @ direction, rel=1e-5)


def test_a_long_gradient_is_scaled_down_and_reported_whole() -> None:
    free, bound = (dense_learner(AlgorithmSettings(max_gradient_norm=norm)) for norm in (None, 0.01))
    whole, result = free.gradient(batch_of(8), None)
    clipped, reported = bound.gradient(batch_of(8), None)
    assert np.linalg.norm(clipped) == pytest.approx(0.01, rel=1e-5)
    np.testing.assert_allclose(clipped / 0.01, whole / result.gradient_norm, rtol=1e-4, atol=1e-7)
    assert reported.gradient_norm == result.gradient_norm


def test_the_learning_rate_follows_the_runs_clock() -> None:
    schedule = RateScheduleSettings(kind="linear", initial=1.0, final=0.5, steps=100)
    learners = [dense_learner(AlgorithmSettings(optimizer=SGD, learning_rate=schedule)) for _ in range(2)]
    start = learners[0].vector.copy()
    for learner, clock in zip(learners, (0, 1_000), strict=True):
        learner.step(batch_of(8), None, clock)
    np.testing.assert_allclose(learners[0].vector - start, 2 * (learners[1].vector - start), atol=1e-6)


def test_a_batch_that_is_not_finite_changes_neither_parameters_nor_moments() -> None:
    learner, untouched = dense_learner(PERIODIC), dense_learner(PERIODIC)
    poisoned = replace(batch_of(8), reward=np.full(8, np.nan, np.float32))
    assert np.isnan(learner.step(poisoned, None, 0).gradient_norm)
    for each in (learner, untouched):
        each.step(batch_of(8), None, 0)
    np.testing.assert_array_equal(learner.vector, untouched.vector)


def test_float64_weights_do_not_leave_float32_arithmetic() -> None:
    learner, weights = dense_learner(PERIODIC), np.linspace(0.1, 1.0, 8)
    gradient = learner.gradient(batch_of(8), weights)[0].copy()
    np.testing.assert_array_equal(gradient, learner.gradient(batch_of(8), weights.astype(np.float32))[0])


def test_soft_target_depends_on_the_steps_and_not_on_how_they_were_cut() -> None:
    whole, cut = dense_learner(SOFT), dense_learner(SOFT)
    for learner in (whole, cut):
        learner.vector += 1.0
    whole.advance_target(5, 12, whole.vector)
    for before, after in ((5, 8), (8, 8), (8, 12)):
        cut.advance_target(before, after, cut.vector)
    np.testing.assert_allclose(cut.target_vector, whole.target_vector, atol=1e-6)
    np.testing.assert_allclose(whole.vector - whole.target_vector, 0.9**7, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "copied"),
    [(0, 99, False), (99, 100, True), (100, 199, False), (150, 420, True), (100, 100, False)],
)
def test_periodic_target_copies_the_servers_vector_when_a_multiple_is_crossed(
    before: int, after: int, copied: bool
) -> None:
    learner = dense_learner(PERIODIC)
    start, server = learner.target_vector.copy(), learner.vector + 3.0
    learner.advance_target(before, after, server)
    np.testing.assert_array_equal(learner.target_vector, server if copied else start)
    assert not np.shares_memory(learner.target_vector, server)


@pytest.mark.parametrize("algorithm", [SOFT, PERIODIC], ids=["soft", "periodic"])
def test_a_clock_that_went_back_leaves_the_target(algorithm: AlgorithmSettings) -> None:
    learner = dense_learner(algorithm)
    start = learner.target_vector.copy()
    learner.vector += 1.0
    learner.advance_target(1_050, 950, learner.vector)
    np.testing.assert_array_equal(learner.target_vector, start)


def test_a_table_step_is_the_exact_tabular_law_on_every_row_whatever_the_bounds() -> None:
    learner = table_learner(0.25, double=False, huber_delta=0.1, max_gradient_norm=0.1)
    q = learner.vector.reshape(STATES, ACTIONS).copy()
    learner.step(table_batch([0, 1, 4], [2, 0, 1], [100.0, -100.0, 1.0], [0.9, 0.0, 0.9]), None, 0)
    expected = q.copy()
    expected[0, 2] += 0.25 * (100.0 + 0.9 * q[4].max() - q[0, 2])
    expected[1, 0] += 0.25 * (-100.0 - q[1, 0])
    expected[4, 1] += 0.25 * (1.0 + 0.9 * q[1].max() - q[4, 1])
    np.testing.assert_allclose(learner.vector.reshape(STATES, ACTIONS), expected, rtol=1e-5)


def test_a_table_does_not_diverge_when_a_batch_repeats_one_pair() -> None:
    learner = table_learner(1.0)
    learner.step(table_batch([3] * 64, [1] * 64, [5.0] * 64, [0.0] * 64), None, 0)
    assert learner.vector.reshape(STATES, ACTIONS)[3, 1] == pytest.approx(5.0, rel=1e-6)


def test_a_mask_keeps_illegal_actions_out_of_the_target() -> None:
    learner, batch = dense_learner(PERIODIC), batch_of(8)
    masks = [np.eye(ACTIONS, dtype=bool)[[i] * 8] for i in range(ACTIONS)]
    errors = [learner.gradient(replace(batch, next_mask=mask), None)[1].td_errors for mask in masks]
    np.testing.assert_array_equal(np.max(errors, axis=0), learner_without_double(batch).td_errors)


def learner_without_double(batch: TransitionBatch) -> StepResult:
    return dense_learner(PERIODIC.model_copy(update={"double": False})).gradient(batch, None)[1]
