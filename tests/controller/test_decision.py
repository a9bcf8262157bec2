"""How many learners there are to be: row by row, and as laws that hold for whatever happens."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adql_services.controller.decision import REASONS, Limits, Memory, Sight, Trial, decide
from adql_services.controller.observation import Window
from tests.controller.histories import LIMITS, History, window

STEADY = Memory(replicas=4, since=-1_000.0)
TRIED = replace(STEADY, trial=Trial(former=3, updates_per_second=90.0))


def sight(measured: Window | None = None, **changes) -> Sight:
    return replace(Sight(0.0, 4, "running", "", False, 4, measured), **changes)


@pytest.mark.parametrize(
    ("memory", "seen", "limits", "replicas", "reason"),
    [
        (STEADY, sight(window()), LIMITS, 6, "growth"),
        (STEADY, sight(window(staleness=7)), LIMITS, 4, "margin"),
        (STEADY, sight(window(refused=0.03)), LIMITS, 4, "margin"),
        (STEADY, sight(window(staleness=9)), LIMITS, 3, "staleness"),
        (STEADY, sight(window(refused=0.06)), LIMITS, 3, "refusals"),
        (STEADY, sight(window(0.0, refused=1.0)), LIMITS, 3, "refusals"),
        (STEADY, sight(window(0.0)), LIMITS, 4, "idle"),
        (STEADY, sight(window()), replace(LIMITS, maximum=4), 4, "maximum"),
        (STEADY, sight(window()), replace(LIMITS, maximum=5), 5, "growth"),
        (STEADY, sight(window(staleness=9)), replace(LIMITS, minimum=4), 4, "minimum"),
        (TRIED, sight(window(97.4)), LIMITS, 3, "no_gain"),
        (TRIED, sight(window(97.6)), LIMITS, 6, "growth"),
        (TRIED, sight(window(0.0)), LIMITS, 4, "idle"),
        (TRIED, sight(None, learners=3), LIMITS, 3, "no_room"),
        (replace(TRIED, since=-299.0), sight(None, learners=3), LIMITS, 4, "settling"),
        (STEADY, sight(None, learners=3), LIMITS, 4, "settling"),
        (replace(STEADY, since=-59.0), sight(window()), LIMITS, 4, "settling"),
        (STEADY, sight(status=None), LIMITS, 4, "unknown"),
        (STEADY, sight(status="budget", over=True), LIMITS, 4, "over"),
        (STEADY, sight(status="reached", over=True), replace(LIMITS, to_zero_when_over=True), 0, "over"),
        (STEADY, sight(window(), replicas=12), LIMITS, 8, "bounds"),
        (STEADY, sight(window(), replicas=1), replace(LIMITS, minimum=2), 2, "bounds"),
        (STEADY, sight(status=None, replicas=12), LIMITS, 12, "unknown"),
        (None, sight(replicas=0, status="waiting"), LIMITS, 1, "resumed"),
        (None, sight(replicas=0), LIMITS, 0, "paused"),
        (STEADY, sight(replicas=0), LIMITS, 0, "paused"),
        (STEADY, sight(replicas=0, status="waiting"), LIMITS, 0, "paused"),
        (Memory(0, 0.0, over=True, rested=5), sight(replicas=0), LIMITS, 5, "resumed"),
        (Memory(0, 0.0, over=True, rested=50), sight(replicas=0), LIMITS, 8, "resumed"),
        (STEADY, sight(Window(100.0, 0.0, 1, 8, 0.95)), replace(LIMITS, role="learner"), 4, "starved"),
        (STEADY, sight(Window(100.0, 0.0, 1, 8, 0.95)), LIMITS, 6, "growth"),
        (STEADY, sight(Window(100.0, 0.0, 1, 8, -0.95)), replace(LIMITS, role="actor"), 4, "starved"),
        (STEADY, sight(Window(100.0, 0.5, 99, 8, 0.95)), replace(LIMITS, role="actor"), 6, "growth"),
    ],
)
def test_table_of_decisions(memory, seen, limits, replicas, reason):
    decision, _ = decide(memory, seen, limits)
    assert (decision.replicas, decision.reason) == (replicas, reason)
    assert decision.words and "\n" not in decision.words


def test_learners_are_added_while_updates_grow_with_them():
    history = History()
    history.pass_time(1_000, lambda learners: window(100.0 * learners))
    assert history.counts == [1, 2, 3, 4, 6, 8] and history.reasons[-1] == "maximum"


def test_number_stays_where_updates_grow_no_more():
    history = History()
    history.pass_time(1_700, lambda learners: window(100.0 * min(learners, 4)))
    assert history.counts == [1, 2, 3, 4, 6, 4]
    assert history.reasons[-2:] == ["settling", "ceiling"]
    history.pass_time(1_000, lambda learners: window(100.0 * learners))
    assert history.counts[-2:] == [6, 8], "what did not pay is tried again after a while"


def test_number_falls_until_staleness_is_inside_its_bound_and_stays_there():
    history = History(replicas=8)
    history.pass_time(1_700, lambda learners: window(100.0 * learners, staleness=2 * learners, bound=8))
    assert history.counts == [8, 6, 5, 4] and history.reasons[-1] == "margin"


def test_lost_services_keep_every_learner_however_long():
    history = History(replicas=5)
    history.pass_time(100_000, lambda learners: None, status=None)
    assert history.counts == [5] and history.reasons == ["unknown"]


def test_end_of_the_run_sends_learners_away_and_its_continuation_brings_them_back():
    history = History(replicas=5, limits=replace(LIMITS, to_zero_when_over=True))
    for status in ("running", "reached", "reached", None, "reached"):
        history.round(None, status)
    assert history.counts == [5, 0]
    assert history.round(None, "running").reason == "resumed" and history.replicas == 5


def test_hand_that_scales_after_the_end_is_respected_until_the_next_end():
    history = History(replicas=5, limits=replace(LIMITS, to_zero_when_over=True))
    history.round(None, "reached")
    history.replicas = 3
    assert history.round(None, "reached").replicas == 3
    assert history.round(None, "reached").replicas == 3
    history.round(None, "running")
    assert history.round(None, "budget").replicas == 0


def test_pause_by_hand_lasts_until_the_hand_ends_it():
    history = History(replicas=5)
    history.pass_time(100, window_of_one)
    history.replicas = 0
    history.pass_time(10_000, lambda learners: None)
    assert history.replicas == 0 and history.reasons[-1] == "paused"
    history.replicas = 2
    assert history.round(window()).reason == "settling" and history.replicas == 2


@pytest.mark.parametrize("to_zero", [True, False])
def test_pause_by_hand_outlasts_the_end_of_a_run(to_zero):
    history = History(replicas=5, limits=replace(LIMITS, to_zero_when_over=to_zero))
    history.round(None, "running")
    history.replicas = 0
    for status in ("running", "reached", "reached", "running", "running"):
        assert history.round(None, status).replicas == 0
    assert history.reasons[-1] == "paused"


def test_pause_after_the_end_of_a_run_lasts_where_the_controller_makes_none():
    history = History(replicas=5)
    history.round(None, "reached")
    history.replicas = 0
    for status in ("reached", "running"):
        assert history.round(None, status).replicas == 0
    assert history.reasons[-1] == "paused"


def window_of_one(learners: int) -> Window:
    return window()


def test_number_set_by_hand_is_where_all_begins_anew():
    history = History()
    history.pass_time(1_000, lambda learners: window(100.0 * min(learners, 2)))
    assert history.counts[-1] == 2 and history.reasons[-1] == "ceiling"
    history.replicas = 5
    history.pass_time(60, lambda learners: window(100.0))
    assert history.replicas == 5
    history.pass_time(20, lambda learners: window(100.0))
    assert history.replicas == 7


def test_what_did_not_pay_in_one_run_is_tried_in_the_next_one():
    history = History()
    history.pass_time(1_000, lambda learners: window(100.0 * min(learners, 2)))
    assert history.replicas == 2 and history.reasons[-1] == "ceiling"
    history.round(None, status=None)
    assert history.round(window()).reason == "ceiling", "an outage is no other run"
    history.run_id = "second"
    history.round(None, status=None)
    assert history.round(window()).reason == "growth"


def test_number_that_is_tried_when_another_run_begins_is_not_compared_with_the_former_one():
    history = History()
    history.pass_time(100, lambda learners: window(100.0 * learners))
    assert history.replicas == 2 and history.memory.trial
    history.run_id = "second"
    history.pass_time(60, lambda learners: window(1.0))
    assert history.replicas >= 2 and "no_gain" not in history.reasons


def test_learners_without_room_have_none_in_the_next_run_either():
    history = History()
    history.pass_time(70, window_of_one)
    history.run_id = "second"
    while history.now < 400:
        history.round(None, learners=1)
    assert history.counts == [1, 2, 1] and "no_room" in history.reasons


windows = st.none() | st.builds(
    Window,
    st.floats(0.0, 1e4),
    st.floats(0.0, 1.0),
    st.integers(0, 64),
    st.integers(1, 64),
    st.floats(-2.0, 2.0),
)
statuses = st.sampled_from([None, "waiting", "running", "running", "running", "confirming", "reached", "budget"])
rounds = st.lists(st.tuples(windows, statuses, st.integers(0, 10)), min_size=1, max_size=300)
limits = st.builds(
    lambda least, more, zero, role: Limits(least, least + more, 60.0, 120.0, 900.0, zero, role),
    st.integers(1, 5),
    st.integers(0, 30),
    st.booleans(),
    st.sampled_from(["both", "learner", "actor"]),
)
CAREFUL = settings(max_examples=150, deadline=None)


@CAREFUL
@given(limits, st.integers(0, 40), rounds)
def test_number_never_leaves_its_bounds(limits, replicas, told):
    history = History(limits, replicas)
    for measured, status, learners in told:
        before = history.replicas
        decision = history.round(measured, status, learners)
        within = limits.minimum <= decision.replicas <= limits.maximum
        rests = decision.replicas == 0 and (before == 0 or (decision.reason == "over" and limits.to_zero_when_over))
        kept = decision.replicas == before and decision.reason in ("unknown", "over")
        assert within or rests or kept
        assert decision.reason in REASONS


@CAREFUL
@given(limits, st.integers(0, 40), rounds)
def test_without_a_fresh_reading_nothing_changes(limits, replicas, told):
    history = History(limits, replicas)
    for measured, status, learners in told:
        before = history.replicas
        assert history.round(measured, status, learners).replicas == before or status is not None


@CAREFUL
@given(limits, st.integers(1, 40), rounds)
def test_number_does_not_swing(limits, replicas, told):
    """By what is measured it changes once a cool-down, and after it fell it does not rise for a long while."""
    history, changed, fell = History(limits, replicas), -1e9, -1e9
    for measured, status, learners in told:
        before = history.replicas
        decision = history.round(measured, status, learners)
        if decision.replicas == before or decision.reason in ("over", "resumed", "bounds"):
            continue
        assert history.now - changed >= limits.cool_down_seconds
        changed = history.now
        if decision.replicas < before:
            fell = history.now
        else:
            assert history.now - fell >= limits.retry_seconds
