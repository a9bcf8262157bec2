"""A window is what happened while nothing about the number of learners changed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adql_services.controller.observation import Reading, kept, window_of

FIRST = Reading(0.0, 2, "run", 1, "running", False, 2, 0, 0, {}, 8)


def readings(count: int, seconds: float = 10.0, **changes) -> list[Reading]:
    """Rounds in which ten updates are applied, one of them three versions behind."""
    return [
        replace(FIRST, at=i * seconds, applied=10 * i, staleness={1: 9 * i, 3: i}, **changes)
        for i in range(1, count + 1)
    ]


def test_rates_and_staleness_are_of_the_window_alone():
    before = replace(FIRST, at=1.0, applied=1_000, stale=500, staleness={200: 1_000})
    after = replace(FIRST, at=11.0, applied=1_080, stale=520, staleness={200: 1_000, 1: 60, 2: 20}, bound=9, hunger=0.5)
    window = window_of([before, after], 10.0)
    assert window is not None
    assert (window.updates_per_second, window.refused, window.staleness) == (8.0, 0.2, 2)
    assert (window.bound, window.hunger) == (9, 0.5)


def test_it_is_whole_only_after_its_time():
    assert window_of(readings(6), 60.0) is None
    assert window_of(readings(7), 60.0) is not None


@pytest.mark.parametrize(
    "change", [{"learners": 3, "replicas": 3}, {"learners": 3}, {"run_id": "other"}, {"epoch": 2}], ids=str
)
def test_change_begins_it_anew(change):
    former, later = readings(10), [replace(one, at=one.at + 100.0) for one in readings(10, **change)]
    assert window_of(former, 60.0) is not None
    assert window_of([*former, *later[:6]], 60.0) is None
    assert window_of([*former, *later[:7]], 60.0) is not None


def test_nothing_is_measured_while_a_learner_is_missing():
    assert window_of(readings(10, learners=1), 60.0) is None


def test_learners_of_other_pods_do_not_hinder():
    assert window_of(readings(10, learners=5), 60.0) is not None


def test_window_without_updates_has_no_staleness():
    quiet = [replace(FIRST, at=10.0 * i) for i in range(8)]
    window = window_of(quiet, 60.0)
    assert window is not None and (window.updates_per_second, window.refused, window.staleness) == (0.0, 0.0, 0)


@given(st.lists(st.floats(0.5, 30.0), min_size=1, max_size=40), st.floats(1.0, 90.0))
def test_what_is_kept_is_enough_and_no_more(gaps, seconds):
    found, at = [], 0.0
    for gap in gaps:
        at += gap
        found.append(replace(FIRST, at=at, applied=int(10 * at)))
    rest = kept(found, seconds)
    assert window_of(rest, seconds) == window_of(found, seconds)
    assert rest[-1].at - rest[min(1, len(rest) - 1)].at < seconds
