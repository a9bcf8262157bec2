"""What the launcher reads out of the services' answers."""

import pytest

from adql_services.local.watch import Observation


@pytest.mark.parametrize(
    ("waiting", "scheduled", "is_evaluated"), [(0, 500, True), (1, 500, False), (0, 492, False), (0, -1, False)]
)
def test_run_is_evaluated_when_its_newest_version_was_scheduled_and_nothing_waits(waiting, scheduled, is_evaluated):
    evaluations = {"waiting": waiting, "scheduled_learner_steps": scheduled}
    assert Observation({"state": {"learner_steps": 500}, "evaluations": evaluations}).is_evaluated is is_evaluated


def test_run_that_has_not_answered_yet_is_not_evaluated():
    assert not Observation().is_evaluated
