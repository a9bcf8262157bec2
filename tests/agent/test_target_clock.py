"""The clock of the target network: steps of one learner, over changes of their number and of the epoch."""

import pytest

from adql.agent.target_clock import TargetClock
from adql.types import Clocks, RunState, Version

PERIOD = 10


def state(learner_steps: int, learners: int = 1, epoch: int = 1) -> RunState:
    return RunState("run", Version(epoch, 0), Version(epoch, 0), Clocks(0, learner_steps), "running", learners)


def copies(clock: TargetClock, *states: RunState) -> list[int]:
    """Returns the run's learner steps at which a multiple of the period is crossed."""
    crossed = []
    for told in states:
        before = clock.steps
        clock.advance(told)
        if clock.steps // PERIOD > before // PERIOD:
            crossed.append(told.clocks.learner_steps)
    return crossed


@pytest.mark.parametrize("learners", [1, 2, 3, 8])
def test_period_is_that_many_steps_of_each_learner(learners: int):
    clock = TargetClock(state(0, learners), alone=False)
    crossed = copies(clock, *(state(steps, learners) for steps in range(1, 50 * learners)))
    # A third is no binary number: the crossing may come one answer late.
    assert crossed == pytest.approx([PERIOD * learners * n for n in range(1, 5)], abs=1)


def test_alone_the_period_is_counted_in_steps_of_the_run():
    clock = TargetClock(state(0, 8), alone=True)
    assert copies(clock, *(state(steps, 8) for steps in range(1, 35))) == [10, 20, 30]


def test_two_learners_that_joined_at_different_times_copy_at_the_same_time():
    answers = [state(steps, 2) for steps in range(51, 120)]
    first, second = TargetClock(state(0, 2), alone=False), TargetClock(state(50, 2), alone=False)
    first.advance(state(50, 2))
    assert copies(first, *answers) == copies(second, *answers) == [60, 80, 100]


@pytest.mark.parametrize(("learners", "next_copy"), [(1, 38), (2, 40), (4, 44), (8, 52)])
def test_when_learners_come_or_go_the_rest_of_a_period_is_counted_at_their_number(learners: int, next_copy: int):
    """At step 36 of a run of two, 2 of 10 steps are left: none of the 8 is lost, and none is made again."""
    clock = TargetClock(state(0, 2), alone=False)
    clock.advance(state(36, 2))
    assert copies(clock, *(state(steps, learners) for steps in range(37, 53)))[0] == next_copy


def test_no_change_of_the_number_of_learners_copies_by_itself():
    clock = TargetClock(state(99, 1), alone=False)
    assert copies(clock, state(99, 7), state(99, 1), state(99, 64)) == []


def test_crossing_that_a_new_epoch_has_passed_is_not_swallowed():
    clock = TargetClock(state(991), alone=False)
    assert copies(clock, state(999), state(1_004, epoch=2)) == [1_004]


def test_what_a_new_epoch_has_lost_is_crossed_again():
    clock = TargetClock(state(996), alone=False)
    answers = state(1_005), state(991, epoch=2), state(999, epoch=2), state(1_000, epoch=2)
    assert copies(clock, *answers) == [1_005, 1_000]


def test_older_answer_read_late_changes_nothing():
    clock = TargetClock(state(15), alone=False)
    assert copies(clock, state(21), state(19), state(22)) == [21]
    assert clock.steps == 22
