"""Every answer to a push, named by its HTTP status, and what must hold around it."""

import numpy as np
import pytest

from adql.errors import (
    CheckpointError,
    ConfigError,
    InvalidUpdateError,
    SequenceGapError,
    StaleUpdateError,
    StoreUnavailableError,
    SupersededSequenceError,
    UnknownSessionError,
    WrongRunError,
)
from adql.parameters import run_record
from adql.parameters.run_record import Episodes
from adql.parameters.sessions import Counts
from adql.types import Clocks, Version
from tests.clocks import Clock
from tests.parameters.servers import (
    SIZE,
    commit,
    new_server,
    owning_server,
    push_many,
    restarted,
    tiny_specification,
    update,
)


@pytest.fixture
def server():
    return owning_server()


@pytest.fixture
def session(server):
    return server.register("both").identifier


def unchanged(server):
    """Everything that an answer which changes nothing must leave alone."""
    return server.version, server.parameters.vector.tolist(), server.sessions.record(), server.clocks


def test_new_run_has_no_version_before_its_first_epoch_is_committed():
    server = new_server()
    with pytest.raises(StoreUnavailableError):
        server.register("both")
    commit(server, epoch=1)
    assert (server.version, server.durable) == (Version(1, 0), Version(1, 0))


def test_200_applied(server, session):
    result = server.push(update(server, session, 0))
    assert (result.outcome, result.applied, result.staleness) == ("applied", Version(1, 1), 0)
    assert result.parameters.vector.tolist() == [1, 0, 0, 0]
    assert (server.version, server.durable, server.clocks) == (Version(1, 1), Version(1, 0), Clocks(0, 2))


def test_200_duplicate_repeats_the_recorded_answer_and_applies_nothing(server, session):
    first = update(server, session, 0)
    server.push(first)
    other = server.register("both").identifier
    server.push(update(server, other, 0))
    again = server.push(first)
    assert (again.outcome, again.applied, again.staleness) == ("duplicate", Version(1, 1), 0)
    assert again.parameters.version == Version(1, 2)
    assert server.parameters.vector.tolist() == [2, 0, 0, 0]
    assert server.sessions.find(session).counts == Counts(applied=1, duplicate=1, learner_steps=2)


def test_409_superseded_changes_nothing(server, session):
    old = update(server, session, 0)
    push_many(server, session, 2)
    before = unchanged(server)
    with pytest.raises(SupersededSequenceError):
        server.push(old)
    assert unchanged(server) == before


def test_409_gap_names_the_last_sequence_and_changes_nothing(server, session):
    push_many(server, session, 1)
    before = unchanged(server)
    with pytest.raises(SequenceGapError) as gap:
        server.push(update(server, session, 2))
    assert gap.value.details == {"last_sequence": 0}
    assert unchanged(server) == before


def test_409_unknown_session_changes_nothing(server):
    before = unchanged(server)
    with pytest.raises(UnknownSessionError):
        server.push(update(server, "stranger", 0))
    assert unchanged(server) == before


def test_409_expired_session_is_never_applied():
    clock = Clock()
    server = owning_server(clock=clock)
    session = server.register("both").identifier
    clock.now += 31
    with pytest.raises(UnknownSessionError):
        server.push(update(server, session, 0))
    assert server.version == Version(1, 0)


def test_409_stale_uses_the_sequence_up_and_is_repeated(server, session):
    old = server.version
    push_many(server, session, 9)
    late = update(server, session, 9, based_on=old)
    for _ in range(2):
        with pytest.raises(StaleUpdateError, match="9 versions behind, at most 8"):
            server.push(late)
    assert server.version.number == 9
    assert server.push(update(server, session, 10)).applied.number == 10
    assert server.sessions.find(session).counts == Counts(applied=10, stale=1, duplicate=1, learner_steps=20)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
def test_422_not_finite_or_too_large_uses_the_sequence_up_and_is_repeated(server, session, poison):
    bad = update(server, session, 0, vector=np.array([0, poison, 0, 0], np.float32))
    for _ in range(2):
        with pytest.raises(InvalidUpdateError):
            server.push(bad)
    assert server.parameters.vector.tolist() == [0, 0, 0, 0]
    assert server.push(update(server, session, 1)).applied == Version(1, 1)


def test_422_result_that_is_not_finite_is_rolled_back_with_its_moments():
    overflowing = tiny_specification(
        update={"rule": "delta", "outer_learning_rate": 1e30, "outer_momentum": 0.5}, network={"kind": "tabular"}
    )
    server = owning_server(overflowing)
    session = server.register("both").identifier
    small = np.full(SIZE, 1e-30, np.float32)
    server.push(update(server, session, 0, vector=small))
    before = commit(server)
    with pytest.raises(InvalidUpdateError, match="result of the update"):
        server.push(update(server, session, 1, vector=np.full(SIZE, 1e10, np.float32)))
    after = commit(server)
    np.testing.assert_array_equal(before.parameters, after.parameters)
    np.testing.assert_array_equal(before.arrays["velocity"], after.arrays["velocity"])


def test_412_other_run_configuration_or_newer_epoch(server):
    server.check_identity("run-1", server.identity.config_hash)
    server.check_epoch(1)
    with pytest.raises(WrongRunError, match="run id"):
        server.check_identity("run-2", server.identity.config_hash)
    with pytest.raises(WrongRunError, match="configuration"):
        server.check_identity("run-1", "0" * 64)
    with pytest.raises(WrongRunError, match="epoch 2 is newer"):
        server.check_epoch(2)
    with pytest.raises(WrongRunError, match="'adql', not 'other'"):
        server.check_run("other", server.identity.config_hash)


def test_412_says_the_way_out(server):
    with pytest.raises(WrongRunError, match="start afresh"):
        server.check_identity("run-2", server.identity.config_hash)
    with pytest.raises(WrongRunError, match="end this server or ask that one"):
        server.check_epoch(2)
    with pytest.raises(WrongRunError, match=r"set run\.name or the address"):
        server.check_run("other", server.identity.config_hash)


def test_503_while_the_store_is_away_changes_nothing(server, session):
    server.available = False
    before = unchanged(server)
    with pytest.raises(StoreUnavailableError) as away:
        server.push(update(server, session, 0))
    with pytest.raises(StoreUnavailableError):
        server.register("both")
    assert away.value.details == {"retry_after_ms": 200}
    assert unchanged(server) == before


def test_base_that_never_existed_is_stale(server, session):
    with pytest.raises(StaleUpdateError, match="lost"):
        server.push(update(server, session, 0, based_on=Version(1, 5)))
    with pytest.raises(StaleUpdateError, match="lost"):
        server.push(update(server, session, 1, based_on=Version(0, 0)))


def test_published_parameters_are_never_written(server, session):
    held = [server.push(update(server, session, sequence)).parameters for sequence in range(20)]
    assert [p.vector[0] for p in held] == list(range(1, 21))
    assert not any(p.vector.flags.writeable for p in held)


def test_committed_state_does_not_change_afterwards(server, session):
    push_many(server, session, 1)
    state = commit(server)
    push_many(server, session, 3)
    assert (state.mark.number, state.parameters[0], state.record.learner_steps) == (1, 1.0, 2)


def test_committed_moments_do_not_change_afterwards():
    server = owning_server(tiny_specification(update={"rule": "delta", "outer_momentum": 0.9}))
    session = server.register("both").identifier
    push_many(server, session, 1)
    state = commit(server)
    velocity = state.arrays["velocity"].copy()
    push_many(server, session, 2)
    np.testing.assert_array_equal(state.arrays["velocity"], velocity)


def test_watermark_rises_with_commits_alone(server, session):
    push_many(server, session, 3)
    assert (server.durable, server.is_durable(session, 0)) == (Version(1, 0), False)
    commit(server)
    assert server.durable == Version(1, 3)
    assert (server.is_durable(session, 2), server.is_durable(session, 3)) == (True, False)
    assert server.durable_sequence(session) == 2


def test_uncommitted_session_has_no_durable_sequence(server, session):
    with pytest.raises(UnknownSessionError):
        server.durable_sequence(session)
    assert not server.is_durable(session, -1)


# Restarts


def test_restart_goes_on_from_the_commit_under_the_next_epoch(server, session):
    push_many(server, session, 3)
    state = commit(server)
    push_many(server, session, 2)
    after = restarted(state)
    assert (after.version, after.durable) == (Version(2, 3), Version(2, 3))
    assert after.parameters.vector.tolist() == [3, 0, 0, 0]
    assert after.sessions.find(session).last_sequence == 2
    assert after.clocks == state.record.clocks


def test_after_a_restart_the_last_durable_sequence_is_a_duplicate_and_a_lost_one_is_new(server, session):
    push_many(server, session, 2)
    state = commit(server)
    durable, lost = update(server, session, 1), update(server, session, 2)
    server.push(lost)
    after = restarted(state)
    assert after.push(durable).outcome == "duplicate"
    assert after.push(lost).applied == Version(2, 3)


def test_base_lost_in_a_restart_is_stale_and_a_kept_one_is_not(server, session):
    push_many(server, session, 2)
    kept = server.version
    state = commit(server)
    lost = push_many(server, session, 1)
    after = restarted(state)
    with pytest.raises(StaleUpdateError, match=r"version 1\.3, which this run \(now 2\.2\) lost"):
        after.push(update(after, session, 2, based_on=lost))
    assert after.push(update(after, session, 3, based_on=kept)).staleness == 0


def test_each_earlier_epoch_keeps_its_last_version(server, session):
    push_many(server, session, 2)
    second = restarted(commit(server))
    push_many(second, session, 3)
    third = restarted(commit(second))
    for base, expected in [(Version(1, 2), 3), (Version(2, 5), 0)]:
        sequence = third.sessions.find(session).last_sequence + 1
        behind = third.version.number - 5
        assert third.push(update(third, session, sequence, based_on=base)).staleness == expected + behind
    with pytest.raises(StaleUpdateError):
        third.push(update(third, session, 7, based_on=Version(1, 3)))


def test_new_epoch_of_a_living_server_keeps_what_was_not_yet_durable(server, session):
    push_many(server, session, 3)
    newest = server.version
    server.available = False
    commit(server, epoch=2)
    server.available = True
    assert (server.version, server.durable) == (Version(2, 3), Version(2, 3))
    assert server.push(update(server, session, 3, based_on=newest)).applied == Version(2, 4)


def test_other_configuration_under_the_same_name_is_refused_by_key(server):
    state = commit(server)
    other = tiny_specification(algorithm={"gamma": 0.5}, network={"kind": "tabular", "initial_value": 1.0})
    with pytest.raises(ConfigError, match=r"algorithm\.gamma was 0\.99, now 0\.5, network\.initial_value was 0\.0"):
        new_server(other).load(state)


def test_parameters_of_another_size_are_refused(server):
    state = commit(server)
    torn = type(state)(state.mark, state.parameters[:3], state.arrays, state.record)
    with pytest.raises(CheckpointError, match=r"\(3,\)"):
        new_server().load(torn)


def test_optimizer_state_survives_a_restart():
    specification = tiny_specification(update={"rule": "gradient"})
    server = owning_server(specification)
    session = server.register("both").identifier
    push_many(server, session, 3)
    after = restarted(commit(server), specification)
    for one in (server, after):
        one.push(update(one, session, 3, vector=np.array([-5, 2, 0, 1], np.float32)))
    np.testing.assert_array_equal(server.parameters.vector, after.parameters.vector)


# Clocks, staleness and live learners


def test_clocks_sum_applied_learner_steps_and_all_sessions_environment_steps(server, session):
    actor = server.register("actor").identifier
    server.progress(actor, 50)
    server.push(update(server, session, 0, learner_steps=8, environment_steps=30))
    with pytest.raises(InvalidUpdateError):
        server.push(
            update(server, session, 1, learner_steps=8, environment_steps=40, vector=np.full(SIZE, np.nan, np.float32))
        )
    assert server.clocks == Clocks(environment_steps=90, learner_steps=8)
    server.close_session(actor)
    assert server.clocks.environment_steps == 90


def test_weight_of_average_follows_the_live_learners():
    server = owning_server(tiny_specification(update={"rule": "average"}))
    session = server.register("both").identifier
    server.register("actor")
    server.push(update(server, session, 0, vector=np.full(SIZE, 4, np.float32)))
    assert server.parameters.vector.tolist() == [4, 4, 4, 4]
    server.register("learner")
    server.push(update(server, session, 1, vector=np.full(SIZE, 8, np.float32)))
    assert server.parameters.vector.tolist() == [6, 6, 6, 6]


@pytest.mark.parametrize(("kind", "norm"), [("dense", 10.0), ("tabular", 400.0)])
def test_tables_gradient_is_never_scaled_down_to_the_largest_norm(kind, norm):
    sgd = {"optimizer": {"kind": "sgd"}, "learning_rate": {"initial": 1.0}, "max_gradient_norm": 10.0}
    server = owning_server(tiny_specification(update={"rule": "gradient"}, algorithm=sgd, network={"kind": kind}))
    session = server.register("both").identifier
    before = server.parameters.vector
    server.push(update(server, session, 0, vector=np.full(SIZE, 400 / SIZE**0.5, np.float32)))
    assert np.linalg.norm(server.parameters.vector - before) == pytest.approx(norm, rel=1e-5)


def test_staleness_is_counted_for_applied_updates(server, session):
    base = server.version
    for sequence in range(4):
        server.push(update(server, session, sequence, based_on=base))
    assert server.staleness_counts == {0: 1, 1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize("rule", ["average", "elastic", "delta", "gradient"])
def test_damped_updates_are_applied_at_any_staleness_and_elastic_in_full(rule):
    damped = {"rule": rule, "staleness": {"policy": "damp"}}
    server = owning_server(tiny_specification(update=damped))
    session = server.register("both").identifier
    base = server.version
    push_many(server, session, 50)
    before = server.parameters.vector
    result = server.push(update(server, session, 50, based_on=base))
    moved = float((result.parameters.vector - before)[0])
    assert result.staleness == 50
    assert (moved == 1.0) if rule == "elastic" else (abs(moved) < 0.1)


def test_changes_grow_with_whatever_a_commit_would_save():
    clock = Clock()
    server = owning_server(clock=clock)
    seen = [server.changes]
    session = server.register("both").identifier
    seen.append(server.changes)
    server.push(update(server, session, 0))
    seen.append(server.changes)
    server.progress(session, 10)
    seen.append(server.changes)
    clock.now += 31
    assert server.expire() == 1
    seen.append(server.changes)
    assert seen == sorted(set(seen))
    server.expire()
    assert server.changes == seen[-1]


def test_session_that_expires_while_another_one_is_looked_for_is_a_change_to_be_saved():
    clock = Clock()
    server = owning_server(clock=clock)
    server.register("both")
    clock.now += 20
    other = server.register("both").identifier
    clock.now += 20
    before = server.changes
    server.sessions.find(other)
    assert server.sessions.learners == 1 and server.changes > before


def test_learner_that_asks_on_while_the_store_is_away_keeps_its_session():
    clock = Clock()
    server = owning_server(clock=clock)
    session = server.register("both").identifier
    server.available = False
    for _ in range(4):  # 40 s, a lease is 30
        clock.now += 10
        with pytest.raises(StoreUnavailableError):
            server.push(update(server, session, 0))
    server.available = True
    assert server.push(update(server, session, 0)).outcome == "applied"


def test_evaluator_that_played_long_is_asked_less_often_until_it_sees_the_goal():
    clock, evaluation = Clock(), {"every_learner_steps": 10, "duty": 0.25}
    server = owning_server(tiny_specification(evaluation=evaluation), clock)

    def play(mean: float, learner_steps: int) -> None:
        task = server.due_evaluation(Version(1, learner_steps), Clocks(0, learner_steps))
        server.schedule(task)
        count = server.specification.evaluation.episodes
        episodes = Episodes((mean,) * count, (5,) * count, None, seconds=2.0)
        server.report(run_record.result_of(run_record.next_task(server.evaluations), episodes))

    play(mean=0.0, learner_steps=10)
    clock.now += 5.9  # at a quarter of the time, 2 s of play are followed by 6 s of rest
    assert server.due_evaluation(Version(1, 20), Clocks(0, 20)) is None
    clock.now += 0.1
    play(mean=server.specification.goal, learner_steps=30)
    assert server.due_evaluation(Version(1, 40), Clocks(0, 40)) is not None
