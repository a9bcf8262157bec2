import itertools

import pytest

from adql.errors import RateLimitedError, SequenceGapError, SupersededSequenceError, UnknownSessionError
from adql.parameters import sessions
from adql.parameters.sessions import Counts, Outcome, SessionTable
from tests.clocks import Clock

APPLIED = Outcome("applied", 1, 7, 0)


def table(clock: Clock | None = None) -> SessionTable:
    names = (f"session-{i}" for i in itertools.count())
    return SessionTable(30.0, clock or Clock(), lambda: next(names))


def test_slot_is_the_lowest_free_one():
    live = table()
    first, second, third = (live.register("both") for _ in range(3))
    live.close(second.identifier)
    assert [first.slot, third.slot, live.register("both").slot, live.register("both").slot] == [0, 2, 1, 3]


def test_slots_of_those_that_act_and_of_those_that_push_have_no_gaps():
    live = table()
    roles = ("actor", "learner", "actor", "learner", "both", "actor")
    assert [live.register(role).slot for role in roles] == [0, 0, 1, 1, 2, 3]


def test_session_of_both_roles_shares_its_slot_with_nobody():
    live = table()
    roles = ("both", "learner", "actor", "both")
    assert [live.register(role).slot for role in roles] == [0, 1, 1, 2]


def test_session_expires_after_a_whole_lease_of_silence():
    clock = Clock()
    live = table(clock)
    session = live.register("both").identifier
    clock.now += 29.9
    live.find(session)
    clock.now += 29.9
    live.find(session)
    clock.now += 30.0
    with pytest.raises(UnknownSessionError, match="register again"):
        live.find(session)


def test_every_silent_session_expires_and_only_those():
    clock = Clock()
    live = table(clock)
    silent, talking, late = (live.register("both").identifier for _ in range(3))
    clock.now += 20
    live.find(talking)
    live.find(late)
    clock.now += 15
    assert live.expire() == 1
    assert {session.identifier for session in live.live} == {talking, late}
    assert silent not in {session.identifier for session in live.live}


def test_older_session_that_talks_does_not_hide_a_younger_silent_one():
    clock = Clock()
    live = table(clock)
    talking, silent = live.register("both").identifier, live.register("both").identifier
    clock.now += 20
    live.find(talking)
    clock.now += 15
    with pytest.raises(UnknownSessionError):
        live.find(silent)
    assert live.learners == 1


def test_counts_of_ended_sessions_stay_in_the_totals():
    clock = Clock()
    live = table(clock)
    session = live.register("both").identifier
    live.use_sequence(session, APPLIED, learner_steps=8)
    live.report_steps(session, 100)
    clock.now += 31
    live.expire()
    other = live.register("both").identifier
    live.report_steps(other, 5)
    assert live.environment_steps == 105
    assert live.counts == Counts(applied=1, learner_steps=8)


def test_environment_steps_never_fall():
    live = table()
    session = live.register("actor").identifier
    for steps in (10, 7, 10, 12):
        live.report_steps(session, steps)
    assert live.environment_steps == 12


def test_actors_are_no_live_learners():
    live = table()
    live.register("actor")
    live.register("both")
    learner = live.register("learner")
    assert live.learners == 2
    live.close(learner.identifier)
    assert live.learners == 1


def test_next_sequence_has_no_record_and_a_repeat_has():
    live = table()
    session = live.register("both").identifier
    assert live.recorded(session, 0) is None
    live.use_sequence(session, APPLIED)
    assert live.recorded(session, 0) == APPLIED
    assert live.recorded(session, 1) is None


def test_older_sequence_is_superseded_and_a_gap_names_the_last_one():
    live = table()
    session = live.register("both").identifier
    for _ in range(3):
        live.use_sequence(session, APPLIED)
    with pytest.raises(SupersededSequenceError, match="go on with 3") as superseded:
        live.recorded(session, 1)
    with pytest.raises(SequenceGapError) as gap:
        live.recorded(session, 4)
    assert superseded.value.details == gap.value.details == {"last_sequence": 2}


def test_first_sequence_must_be_zero():
    live = table()
    with pytest.raises(SequenceGapError) as gap:
        live.recorded(live.register("both").identifier, 1)
    assert gap.value.details == {"last_sequence": -1}


def test_loaded_table_equals_the_saved_one_with_fresh_leases():
    clock = Clock()
    saved = table(clock)
    gone, kept = saved.register("both").identifier, saved.register("actor").identifier
    saved.use_sequence(kept, APPLIED, 3)
    saved.report_steps(kept, 9)
    saved.close(gone)
    clock.now += 25
    loaded = table(clock)
    loaded.load(saved.record())
    clock.now += 25
    assert loaded.find(kept) == saved.record().live[0]
    assert (loaded.environment_steps, loaded.learners, loaded.counts) == (9, 0, saved.counts)
    assert loaded.record() == saved.record()


def test_table_is_bounded(monkeypatch):
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    live = table()
    live.register("both")
    live.register("both")
    with pytest.raises(
        RateLimitedError, match=r"2 sessions are live, .*; end some, or wait until their leases run out"
    ):
        live.register("both")


def test_applied_updates_by_slot_survive_the_end_of_their_sessions():
    clock = Clock()
    live = table(clock)
    first, second, _ = (live.register(role).identifier for role in ("both", "learner", "actor"))
    for session in (first, first, second):
        live.use_sequence(session, APPLIED, learner_steps=8)
    live.close(first)
    again = live.register("both")
    live.use_sequence(again.identifier, APPLIED, learner_steps=8)
    clock.now += 31
    live.expire()
    assert (again.slot, live.applied_by_slot) == (0, {0: 3, 1: 1})
    restarted = table()
    restarted.load(live.record())
    assert restarted.applied_by_slot == {0: 3, 1: 1}


def test_environment_steps_by_slot_survive_the_end_of_their_sessions():
    clock = Clock()
    live = table(clock)
    learner, first, second = (live.register(role).identifier for role in ("learner", "actor", "actor"))
    for session, steps in ((learner, 0), (first, 10), (second, 20)):
        live.report_steps(session, steps)
    live.close(first)
    live.report_steps(live.register("actor").identifier, 5)
    clock.now += 31
    live.expire()
    assert live.environment_steps_by_slot == {0: 15, 1: 20}
    restarted = table()
    restarted.load(live.record())
    assert restarted.environment_steps_by_slot == {0: 15, 1: 20}
