"""When a local run ends: at its goal, at a budget once its last version was evaluated, never for ever."""

import pytest

from adql_services.local.ending import LAST_EVALUATION_SECONDS, Ending, Step
from tests.local.runs import observation


def seen(status: str, evaluated: bool = False):
    """The run after 2,000 learner steps, of which the last or the last but one is evaluated."""
    run = observation(status)
    run.run["evaluations"]["scheduled_learner_steps"] = 2_000 if evaluated else 1_992
    return run


@pytest.mark.parametrize("status", ["waiting", "running", "confirming"])
def test_run_that_is_under_way_goes_on(status):
    ending = Ending()
    assert {ending.after(seen(status), now) for now in (0.0, 1e9)} == {Step.GO_ON}


def test_reached_goal_ends_the_run_at_once():
    assert Ending().after(seen("reached"), 0.0) is Step.END


@pytest.mark.parametrize("status", ["budget", "plateau"])
def test_learners_of_a_spent_run_go_and_it_ends_with_the_evaluation_of_what_they_left(status):
    ending = Ending()
    steps = [ending.after(seen(status, evaluated), 0.0) for evaluated in (True, False, True)]
    assert steps == [Step.RETIRE, Step.GO_ON, Step.END]


def test_last_evaluation_is_not_waited_for_for_ever():
    ending = Ending()
    times = (10.0, 10.0 + LAST_EVALUATION_SECONDS, 10.1 + LAST_EVALUATION_SECONDS)
    assert [ending.after(seen("budget"), now) for now in times] == [Step.RETIRE, Step.GO_ON, Step.END]


def test_learners_come_back_when_the_server_lost_steps_and_go_again_when_they_are_made_up():
    ending = Ending()
    course = ["budget", "budget", "running", "running", "budget"]
    steps = [ending.after(seen(status), 0.0) for status in course]
    assert steps == [Step.RETIRE, Step.GO_ON, Step.BRING_BACK, Step.GO_ON, Step.RETIRE]
    assert ending.after(seen("budget"), LAST_EVALUATION_SECONDS) is Step.GO_ON


def test_goal_that_the_last_evaluation_reaches_ends_a_spent_run():
    ending = Ending()
    assert [ending.after(seen(status), 0.0) for status in ("budget", "reached")] == [Step.RETIRE, Step.END]
