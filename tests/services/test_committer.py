"""The background work of the parameter server over a store and a volume that tests hold in their hands."""

import asyncio
import errno
import time

import pytest
from structlog.testing import capture_logs

from adql.errors import RunFailedError, StoreRefusedError, StoreUnavailableError
from adql.parameters import run_record
from adql.parameters.run_record import Episodes
from adql.parameters.state import Mark
from adql.parameters.store import StoreMemory
from adql.parameters.volume import Volume
from adql.telemetry.metrics import PARAMETER_SERVER
from adql_services.parameter_server import committer
from adql_services.parameter_server.beacon import Beacon
from adql_services.parameter_server.committer import Committer
from adql_services.parameter_server.opening import Opened, manifest
from adql_services.runtime.volume import VolumeWatch
from tests.parameters.servers import SIZE, owning_server, push_many, tiny_specification
from tests.services.store_double import StoreDouble

SPECIFICATION = tiny_specification(durability={"commit_duty": 1.0})


@pytest.fixture
def machine():
    return owning_server(SPECIFICATION)


@pytest.fixture
def store():
    return StoreDouble(Mark(1, 0, 0, "owner"))


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path, manifest(SPECIFICATION))


def committer_of(machine, store, volume) -> Committer:
    opened = Opened(machine, store, volume, "owner", machine.snapshot(store.held))
    return Committer(
        opened,
        commits=Beacon(),
        changes=Beacon(),
        on_commit=lambda: None,
        on_available=lambda available: None,
        watch=VolumeWatch(),
        applying=asyncio.Lock(),
    )


async def run_while(committing, condition) -> None:
    """Runs the committer until ``condition`` no longer holds, then ends it."""
    task = asyncio.create_task(committing.run())
    async with asyncio.timeout(10):
        while condition():
            assert not task.done() or task.result()
            await asyncio.sleep(0.005)
    committing.end()
    await task


def test_refused_commits_are_not_kept_and_tried_ever_less_often(machine, store, volume, monkeypatch):
    pauses = []

    async def pass_at_once(event, seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)
        return event.is_set()

    def refuse(state):
        raise StoreRefusedError("OOM")

    monkeypatch.setattr(committer, "_wait", pass_at_once)
    store.before, committing = refuse, committer_of(machine, store, volume)
    push_many(machine, machine.register("both").identifier, 1)
    asyncio.run(run_while(committing, lambda: store.tries < 20))
    assert not committing._unresolved
    assert pauses[-1] == committer.MAX_RETRY_SECONDS


@pytest.mark.parametrize("comes_back", [True, False])
def test_log_says_that_it_went_on_only_if_it_did(machine, store, volume, monkeypatch, comes_back):
    def refuse(state):
        if store.tries < 3 or not comes_back:
            raise StoreRefusedError("OOM")

    monkeypatch.setattr(committer, "RETRY_SECONDS", 0.01)
    store.before, committing = refuse, committer_of(machine, store, volume)
    push_many(machine, machine.register("both").identifier, 1)
    with capture_logs() as lines:
        asyncio.run(run_while(committing, lambda: store.tries < 3))
    assert ("went on with the weight store" in [line["event"] for line in lines]) == comes_back


def test_version_is_kept_until_the_durable_record_no_longer_waits_for_it(machine, store, volume):
    def report_the_first(state):
        """An evaluator reports while the store writes a record that still waits for it."""
        if state.record.learner_steps == 20 and not reported:
            reported.extend(state.record.evaluations.waiting)
            machine.report(run_record.result_of(reported[0], Episodes((1.0, 1.0), (1, 1), None, 0.1)))

    def pushes_of_two_evaluations():
        """Five updates make an evaluation due; the next five come once a commit has made the first one."""
        for identifier in (1, 2):
            push_many(machine, session, 5)
            committing.hurry()
            while run_record.find_task(machine.evaluations, identifier) is None:
                yield True

    reported: list[run_record.Task] = []
    session, store.before = machine.register("both").identifier, report_the_first
    committing, pushes = committer_of(machine, store, volume), pushes_of_two_evaluations()
    asyncio.run(run_while(committing, lambda: next(pushes, False)))
    assert [task.identifier for task in machine.evaluations.waiting] == [2]
    assert len(volume.read_for_evaluation(reported[0], machine.identity.config_hash)) == SIZE


def test_kept_version_that_cannot_be_removed_does_not_end_the_server(machine, store, volume, monkeypatch):
    def broken(waiting):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(volume, "forget_evaluations_but", broken)
    push_many(machine, machine.register("both").identifier, 5)
    committing = committer_of(machine, store, volume)
    machine.register("both")
    with capture_logs() as lines:
        asyncio.run(run_while(committing, lambda: not machine.evaluations.waiting))
    assert "cannot remove versions that were evaluated" in [line["event"] for line in lines]


def test_the_last_commit_has_everything_even_when_an_earlier_one_turns_out_to_hold(machine, store, volume):
    """A commit whose answer was lost is found at the end; what came after it is committed still."""

    async def scenario():
        committing = committer_of(machine, store, volume)
        push_many(machine, machine.register("both").identifier, 1)
        store.before = lambda state: lose_the_answer(store, state)
        with pytest.raises(StoreUnavailableError):
            await committing._commit()
        store.before = lambda state: None
        push_many(machine, machine.sessions.live[0].identifier, 1)
        await committing.finish()

    asyncio.run(scenario())
    assert store.held.number == machine.version.number == 2


def test_an_end_that_cannot_save_everything_says_so_after_a_few_commits(machine, store, volume):
    async def scenario():
        committing = committer_of(machine, store, volume)
        machine.register("both")
        async with asyncio.timeout(10):
            with pytest.raises(RunFailedError, match=r"ended without a last commit, .*5 commits left changes unsaved"):
                await committing.finish()

    store.before = lambda state: machine.register("both")
    asyncio.run(scenario())
    assert store.tries == committer.MAX_LAST_COMMITS


def test_evaluation_that_an_earlier_life_left_due_is_given_out_though_nothing_changes(machine, store, volume):
    push_many(machine, machine.register("both").identifier, 5)
    store.held = Mark(1, 5, 0, "owner")
    committing = committer_of(machine, store, volume)
    asyncio.run(run_while(committing, lambda: not machine.evaluations.waiting))
    assert [task.number for task in machine.evaluations.waiting] == [5]


def test_evaluation_that_a_commit_after_an_outage_makes_due_is_given_out(machine, store, volume, monkeypatch):
    """The last updates of a budget may be committed by the reconnection; nothing else would change any more."""

    def refuse_twice(state):
        if store.tries < 3:
            raise StoreRefusedError("OOM")

    monkeypatch.setattr(committer, "RETRY_SECONDS", 0.01)
    store.before = refuse_twice
    committing = committer_of(machine, store, volume)
    push_many(machine, machine.register("both").identifier, 5)
    asyncio.run(run_while(committing, lambda: not machine.evaluations.waiting))
    assert [task.number for task in machine.evaluations.waiting] == [5]


def test_idle_server_writes_no_checkpoint_again(machine, store, volume, monkeypatch):
    monkeypatch.setattr(committer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(committer, "TICK_SECONDS", 0.001)
    written, looks, write = [], [], volume.checkpoints.write
    volume.checkpoints.write = lambda state: written.append(state.mark) or write(state)
    store.mark = lambda: looks.append(1) or store.held
    asyncio.run(run_while(committer_of(machine, store, volume), lambda: len(looks) < 10))
    assert len(written) == len(set(written)) <= 2


def test_report_that_changes_nothing_is_no_reason_to_write_the_whole_state(machine, store, volume):
    committing, looks = committer_of(machine, store, volume), []
    session = machine.register("both").identifier
    machine.progress(session, 5)
    committing.changed()

    def report_again() -> bool:
        machine.progress(session, 5)
        committing.changed()
        return len(looks) < 10

    store.mark = lambda: looks.append(1) or store.held
    asyncio.run(run_while(committing, report_again))
    assert store.tries == 1


def test_client_that_knows_a_newer_epoch_makes_an_idle_server_look_at_its_store_at_once(
    machine, store, volume, monkeypatch
):
    monkeypatch.setattr(committer, "TICK_SECONDS", 3_600.0)
    looks, committing = [], committer_of(machine, store, volume)
    store.mark = lambda: looks.append(1) or store.held

    def ask_once() -> bool:
        committing.hurry()
        return not looks

    asyncio.run(run_while(committing, ask_once))
    assert store.tries == 0


def test_full_volume_is_not_said_again_with_every_commit(machine, store, volume, monkeypatch):
    monkeypatch.setattr(volume, "remember", no_space)
    monkeypatch.setattr(volume, "keep_for_evaluation", no_space)
    committing = committer_of(machine, store, volume)
    session = machine.register("both").identifier

    def push_on() -> bool:
        push_many(machine, session, 5)
        committing.hurry()
        return store.tries < 40

    with capture_logs() as lines:
        asyncio.run(run_while(committing, push_on))
    said = [line["event"] for line in lines if line["event"].startswith("cannot")]
    assert 1 <= len(said) <= 5


def test_attempts_of_unknown_outcome_take_a_bounded_place_and_an_old_one_that_holds_is_replaced(machine, store, volume):
    def lose(state):
        raise StoreUnavailableError("no answer in time")

    async def scenario():
        committing = committer_of(machine, store, volume)
        push_many(machine, machine.register("both").identifier, 1)
        store.before, first = lose, None
        for _ in range(20):
            with pytest.raises(StoreUnavailableError):
                await committing._commit()
            first = first or committing._unresolved[0].mark
        assert len(committing._unresolved) == committer.MAX_UNRESOLVED
        store.before, store.held = (lambda state: None), first
        await committing._look_at_store()
        await committing.finish()

    asyncio.run(scenario())
    assert machine.durable == machine.version and store.held.owner == "owner"


def test_end_without_room_for_the_last_checkpoint_is_a_failure_that_names_reason_and_what_is_safe(
    machine, store, volume, monkeypatch
):
    monkeypatch.setattr(volume.checkpoints, "write", no_space)

    async def scenario():
        committing = committer_of(machine, store, volume)
        push_many(machine, machine.register("both").identifier, 1)
        await committing.finish()

    with pytest.raises(RunFailedError, match=r"without a last checkpoint.*everything up to 1\.1") as failed:
        asyncio.run(scenario())
    assert "cannot be written (a checkpoint: [Errno 28] No space left on device): give it room" in str(failed.value)


def lose_the_answer(store, state):
    store.held = state.mark
    raise StoreUnavailableError("the answer was lost")


def no_space(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def memory_gauge() -> float | None:
    return PARAMETER_SERVER.get_sample_value("adql_store_memory_bytes")


def test_a_store_that_refuses_info_leaves_the_gauge_of_its_memory_out_and_stops_nothing(machine, store, volume):
    def refuse():
        asked.append(True)
        raise StoreRefusedError("NOPERM")

    asked, before = [], memory_gauge()
    store.memory, committing = refuse, committer_of(machine, store, volume)
    push_many(machine, machine.register("both").identifier, 1)
    asyncio.run(run_while(committing, lambda: not (asked and machine.durable == machine.version)))
    assert memory_gauge() == before


def test_memory_of_the_store_is_asked_for_at_most_once_in_five_seconds(machine, store, volume):
    def answer():
        asked.append(True)
        return StoreMemory(3, 4)

    def commits_thrice():
        if machine.durable == machine.version and machine.version.number < 3:
            push_many(machine, session, 1)
            committing.changed()
        return machine.durable.number < 3 or not asked

    asked, committing = [], committer_of(machine, store, volume)
    store.memory, session = answer, machine.register("both").identifier
    asyncio.run(run_while(committing, commits_thrice))
    assert (memory_gauge(), PARAMETER_SERVER.get_sample_value("adql_store_memory_limit_bytes")) == (3.0, 4.0)
    assert len(asked) == 1


def test_time_of_the_newest_commit_is_shown(machine, store, volume):
    committing, start = committer_of(machine, store, volume), time.time()
    push_many(machine, machine.register("both").identifier, 1)
    asyncio.run(run_while(committing, lambda: machine.durable != machine.version))
    shown = PARAMETER_SERVER.get_sample_value("adql_last_commit_timestamp_seconds")
    assert start <= shown <= time.time()
