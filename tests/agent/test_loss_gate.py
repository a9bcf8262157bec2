"""Gorila's guard: what counts as an outlier, and that a learner survives both outliers and a new scale."""

import math

import numpy as np
import pytest

from adql.agent.loss_gate import WARM_UP, LossGate


def warm_gate(deviations: float | None = 4.0) -> LossGate:
    """Has seen 300 losses of mean 1 and deviation 0.1."""
    gate = LossGate(deviations)
    for loss in np.random.default_rng(0).normal(1.0, 0.1, 300):
        gate.admits(float(loss))
    gate.dropped = 0
    return gate


@pytest.mark.parametrize(("loss", "passes"), [(1.0, True), (1.35, True), (1.5, False), (1e30, False), (0.0, True)])
def test_a_loss_passes_up_to_four_deviations_above_the_mean(loss: float, passes: bool) -> None:
    gate = warm_gate()
    assert (gate.admits(loss), gate.dropped) == (passes, int(not passes))


def test_the_limit_is_mean_plus_deviations_of_the_losses_seen() -> None:
    losses = np.random.default_rng(1).exponential(2.0, 500)
    gate = LossGate(3.0)
    for loss in losses:
        gate._count(float(loss))
    # The mean is a plain one over the first thousand losses.
    assert gate._mean == pytest.approx(losses.mean())
    assert gate._variance == pytest.approx(losses.var())


def test_nothing_is_judged_before_the_warm_up() -> None:
    gate = LossGate(1.0)
    assert all(gate.admits(10.0**i) for i in range(20))
    for _ in range(WARM_UP):
        gate.admits(1.0)
    assert not gate.admits(1e40)


def test_one_wild_loss_does_not_blind_the_gate_to_the_next() -> None:
    gate = warm_gate()
    assert [gate.admits(loss) for loss in (1e30, 1e9, 5.0)] == [False] * 3


def test_losses_that_have_grown_for_good_pass_again() -> None:
    gate = warm_gate()
    refused = 0
    while not gate.admits(20.0):
        refused += 1
        assert refused < 1_000
    assert refused > 10


@pytest.mark.parametrize("before", [0.0, 0.1])
@pytest.mark.parametrize("deviations", [2.0, 6.0])
def test_the_first_losses_after_many_equal_ones_pass_in_the_end(before: float, deviations: float) -> None:
    """A table knows no error before the first reward: a deviation of 0 must not shut the gate for good."""
    gate = LossGate(deviations)
    for _ in range(10 * WARM_UP):
        gate.admits(before)
    passed = sum(gate.admits(5.0 * before + 1.0) for _ in range(20_000))
    assert passed > 10_000


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_dropped_and_not_counted(loss: float) -> None:
    for gate in (warm_gate(), LossGate(4.0)):
        before = gate._mean, gate._variance
        assert (gate.admits(loss), gate.dropped) == (False, 1)
        assert (gate._mean, gate._variance) == before


def test_without_deviations_every_finite_loss_passes() -> None:
    gate = warm_gate(None)
    assert gate.admits(1e30)
    assert not gate.admits(math.nan)
    assert gate.dropped == 1
