import numpy as np
import pytest

from adql.config import AlgorithmSettings, OptimizerSettings, RateScheduleSettings, UpdateSettings
from adql.errors import CheckpointError
from adql.parameters.update_rules import Step, make_update_rule

THETA = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
OTHER = np.array([3.0, 2.0, 1.0, 0.0], np.float32)


def rule(kind: str, **settings):
    return make_update_rule(UpdateSettings(rule=kind, **settings), AlgorithmSettings(), len(THETA))


def sgd(rate: RateScheduleSettings, max_norm: float | None = None, **optimizer):
    algorithm = AlgorithmSettings(
        learning_rate=rate, max_gradient_norm=max_norm, optimizer=OptimizerSettings(kind="sgd", **optimizer)
    )
    return make_update_rule(UpdateSettings(rule="gradient"), algorithm, len(THETA))


def applied(rule, update=OTHER, current=THETA, **step):
    before, sent = current.copy(), update.copy()
    result = np.empty_like(current)
    rule.apply(current, update, result, Step(**({"learners": 1} | step)))
    np.testing.assert_array_equal(current, before)
    np.testing.assert_array_equal(update, sent)
    return result


def test_average_moves_a_share_towards_the_learner():
    assert applied(rule("average", weight=0.25)).tolist() == [1.5, 2.0, 2.5, 3.0]


@pytest.mark.parametrize(("learners", "expected"), [(1, [3, 2, 1, 0]), (2, [2, 2, 2, 2]), (8, [2, 2, 2, 2])])
def test_average_follows_a_lone_learner_whole_and_one_of_many_half_way(learners, expected):
    assert applied(rule("average"), learners=learners).tolist() == expected


def test_average_is_damped_on_its_weight():
    assert applied(rule("average", weight=0.5), factor=0.5).tolist() == [1.5, 2.0, 2.5, 3.0]


def test_elastic_adds_the_difference_and_is_never_damped():
    assert applied(rule("elastic"), factor=0.1).tolist() == [4.0, 4.0, 4.0, 4.0]


def test_delta_adds_a_share_of_the_difference():
    assert applied(rule("delta", outer_learning_rate=0.5)).tolist() == [2.5, 3.0, 3.5, 4.0]
    assert applied(rule("delta"), learners=2).tolist() == [2.5, 3.0, 3.5, 4.0]
    assert applied(rule("delta"), learners=4).tolist() == [1.75, 2.5, 3.25, 4.0]
    assert applied(rule("delta", outer_learning_rate=1.0), factor=0.5).tolist() == [2.5, 3.0, 3.5, 4.0]


def test_delta_momentum_is_nesterovs():
    delta = rule("delta", outer_learning_rate=0.5, outer_momentum=0.5)
    first = applied(delta)
    second = applied(delta, current=first)
    velocity = OTHER * 0.5 + OTHER
    np.testing.assert_allclose(first, THETA + 0.5 * (OTHER + 0.5 * OTHER))
    np.testing.assert_allclose(second, first + 0.5 * (OTHER + 0.5 * velocity))


def test_gradient_takes_the_optimizers_step_at_the_scheduled_rate():
    halving = RateScheduleSettings(kind="linear", initial=1.0, final=0.0, steps=10)
    assert applied(sgd(halving), learner_steps=5).tolist() == [-0.5, 1.0, 2.5, 4.0]


def test_gradient_is_damped_after_the_moments():
    constant = RateScheduleSettings(initial=1.0)
    damped, plain = sgd(constant, momentum=0.5), sgd(constant, momentum=0.5)
    applied(damped, factor=0.5)
    applied(plain)
    for name, moment in plain.state().items():
        np.testing.assert_array_equal(damped.state()[name], moment)


def test_gradient_is_scaled_to_the_largest_norm_and_no_further():
    clipping = sgd(RateScheduleSettings(initial=1.0), max_norm=1.0)
    step = applied(clipping) - THETA
    assert np.linalg.norm(step) == pytest.approx(1.0, rel=1e-6)
    just_clipped = -step * np.float32(1 + 1e-6)
    np.testing.assert_array_equal(applied(clipping, update=just_clipped), THETA - just_clipped)


@pytest.mark.parametrize("kind", ["average", "elastic", "delta", "gradient"])
def test_undo_takes_back_what_the_rule_remembers(kind):
    momentum = {"outer_momentum": 0.9} if kind == "delta" else {}
    undone, plain = rule(kind, **momentum), rule(kind, **momentum)
    applied(undone), applied(plain)
    applied(undone, update=100 * OTHER)
    undone.undo()
    np.testing.assert_array_equal(applied(undone), applied(plain))


@pytest.mark.parametrize("kind", ["average", "elastic", "delta", "gradient"])
def test_rule_goes_on_from_its_saved_state(kind):
    momentum = {"outer_momentum": 0.9} if kind == "delta" else {}
    saved, loaded = rule(kind, **momentum), rule(kind, **momentum)
    applied(saved)
    loaded.load({name: array.copy() for name, array in saved.state().items()})
    np.testing.assert_array_equal(applied(loaded), applied(saved))


@pytest.mark.parametrize("kind", ["average", "elastic", "delta", "gradient"])
def test_foreign_state_is_refused(kind):
    with pytest.raises(CheckpointError, match="stranger"):
        rule(kind).load({"stranger": np.zeros(3)})
