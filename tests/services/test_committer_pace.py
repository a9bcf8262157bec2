"""How often the parameter server writes and says something, over a store and a volume in the tests' hands."""

import asyncio
import errno

import pytest
from structlog.testing import capture_logs

from adql.errors import RunFailedError, StoreUnavailableError
from adql.parameters.state import Mark
from adql.parameters.volume import Volume
from adql_services.parameter_server import committer
from adql_services.parameter_server.opening import manifest
from tests.parameters.servers import owning_server, push_many
from tests.services.store_double import StoreDouble
from tests.services.test_committer import SPECIFICATION, committer_of, run_while


@pytest.fixture
def machine():
    return owning_server(SPECIFICATION)


@pytest.fixture
def store():
    return StoreDouble(Mark(1, 0, 0, "owner"))


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path, manifest(SPECIFICATION))


def no_space(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


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


def test_end_without_room_for_the_last_checkpoint_is_a_failure_that_names_what_is_safe(
    machine, store, volume, monkeypatch
):
    monkeypatch.setattr(volume.checkpoints, "write", no_space)

    async def scenario():
        committing = committer_of(machine, store, volume)
        push_many(machine, machine.register("both").identifier, 1)
        await committing.finish()

    with pytest.raises(RunFailedError, match=r"without a last checkpoint.*everything up to 1\.1.*make room"):
        asyncio.run(scenario())
