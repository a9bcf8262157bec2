import pytest

from adql.config import DurabilitySettings, EvaluationSettings
from adql.parameters.pacing import MAX_REST_SECONDS, CommitPacer, EvaluationPacer


def pacer(**settings) -> CommitPacer:
    return CommitPacer(DurabilitySettings(**{"commit_duty": 0.1, "commit_bytes_per_second": 1_000_000} | settings))


def test_first_commit_may_start_at_once():
    assert pacer().next_start(new_version=True) < 0


def test_commits_take_their_share_of_a_core():
    plan = pacer()
    plan.committed(start=10.0, end=10.02, nbytes=1)
    assert plan.next_start(new_version=True) == pytest.approx(10.2)


def test_commits_take_their_share_of_the_disk():
    plan = pacer()
    plan.committed(start=10.0, end=10.001, nbytes=500_000)
    assert plan.next_start(new_version=True) == pytest.approx(10.5)


def test_clocks_alone_wait_for_the_largest_interval():
    plan = pacer(max_interval_seconds=3.0)
    plan.committed(start=10.0, end=10.001, nbytes=1)
    assert plan.next_start(new_version=False) == pytest.approx(13.0)


def test_one_slow_commit_does_not_delay_the_next():
    plan = pacer()
    for start in (1.0, 2.0, 3.0):
        plan.committed(start, start + 0.01, nbytes=1)
    plan.committed(start=4.0, end=9.0, nbytes=1)
    assert plan.next_start(new_version=True) == pytest.approx(4.1)


def test_evaluator_rests_for_what_its_share_leaves():
    plan = EvaluationPacer(EvaluationSettings(duty=0.25))
    assert not plan.rests(now=0.0)
    plan.played(now=10.0, seconds=2.0, over_the_goal=False)
    assert plan.rests(now=15.9) and not plan.rests(now=16.0)


def test_evaluation_over_the_goal_is_followed_at_once():
    plan = EvaluationPacer(EvaluationSettings(duty=0.25))
    plan.played(now=10.0, seconds=2.0, over_the_goal=False)
    plan.played(now=12.0, seconds=2.0, over_the_goal=True)
    assert not plan.rests(now=12.0)


def test_evaluation_that_waits_to_be_played_is_thought_to_be_as_long_as_the_last():
    plan = EvaluationPacer(EvaluationSettings(duty=0.25))
    plan.scheduled(now=0.0)
    assert not plan.rests(now=0.0)
    plan.played(now=2.0, seconds=2.0, over_the_goal=False)
    plan.scheduled(now=10.0)
    assert plan.rests(now=17.9) and not plan.rests(now=18.0)


def test_whole_share_is_no_rest():
    plan = EvaluationPacer(EvaluationSettings(duty=1.0))
    plan.played(now=10.0, seconds=2.0, over_the_goal=False)
    assert not plan.rests(now=10.0)


def test_rest_has_an_end_however_long_the_play_is_said_to_have_been():
    plan = EvaluationPacer(EvaluationSettings(duty=0.25))
    plan.played(now=10.0, seconds=1e300, over_the_goal=False)
    assert not plan.rests(now=10.0 + MAX_REST_SECONDS)
