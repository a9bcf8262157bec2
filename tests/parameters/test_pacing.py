import pytest

from adql.config import DurabilitySettings
from adql.parameters.pacing import CommitPacer


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
