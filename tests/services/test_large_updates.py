"""A large update is applied in a thread: no pull waits for it, none is torn, and what happens meanwhile holds."""

import asyncio
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from adql.errors import UnknownSessionError
from adql.parameters.state import Mark
from adql.types import Update
from adql.wire import codec
from adql.wire.learner_requests import read_update
from adql.wire.packing import pack
from adql_services.parameter_server import service as module
from adql_services.parameter_server.service import ParameterService
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.side_port import Health
from tests.parameters.servers import SIZE, owning_server, tiny_specification

SLOW_SECONDS = 10.0


class Held:
    """The machine's update rule, which stops in the middle of an update until it is let go on."""

    def __init__(self, machine) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self._apply = machine._rule.apply
        machine._rule.apply = self.apply

    def apply(self, current, update, result, step) -> None:
        result[: SIZE // 2] = np.nan  # half of it is written, and a reader would see that
        self.begun.set()
        assert self.may_end.wait(SLOW_SECONDS)
        self._apply(current, update, result, step)


@pytest.fixture
def machine():
    return owning_server(tiny_specification(update={"rule": "delta", "outer_momentum": 0.5}))


@pytest.fixture
def service(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "THREAD_SIZE", SIZE)
    state = machine.snapshot(Mark(1, 0, 1, "owner"))
    opened = SimpleNamespace(
        machine=machine, volume=SimpleNamespace(diary=None), store=None, owner="owner", state=state
    )
    return ParameterService(machine.specification, opened, Health(), Shutdown())


def update(machine, session: str, sequence: int = 0) -> Update:
    return Update(session, sequence, machine.version, np.ones(SIZE, np.float32), 1, 0)


def pushed(service, machine, session: str, sequence: int = 0):
    identity = machine.identity
    return asyncio.create_task(service.push(update(machine, session, sequence), identity.run_id, identity.config_hash))


async def under_way(machine, service):
    """Returns a session, what holds its first push up, and that push once it is being applied."""
    session, held = machine.register("learner").identifier, Held(machine)
    pushing = pushed(service, machine, session)
    assert await asyncio.to_thread(held.begun.wait, SLOW_SECONDS)
    return session, held, pushing


def test_no_pull_waits_for_an_apply_and_none_is_torn(machine, service):
    async def scene():
        _, held, pushing = await under_way(machine, service)
        async with asyncio.timeout(SLOW_SECONDS / 2):
            parameters = await service.pull(None, None, 0.0)
        assert not pushing.done() and parameters.version.number == 0
        np.testing.assert_array_equal(parameters.vector, np.zeros(SIZE))
        held.may_end.set()
        result = await pushing
        assert (result.applied.number, machine.version.number) == (1, 1)
        assert np.isfinite(result.parameters.vector).all() and (result.parameters.vector > 0).all()
        np.testing.assert_array_equal(parameters.vector, np.zeros(SIZE))

    asyncio.run(scene())


def test_no_pull_waits_while_a_packed_update_is_unpacked(machine, service, monkeypatch):
    begun, may_end, unpack = threading.Event(), threading.Event(), module.update_vector

    def held(*arguments):
        begun.set()
        assert may_end.wait(SLOW_SECONDS)
        return unpack(*arguments)

    async def scene():
        monkeypatch.setattr(module, "update_vector", held)
        body = b"".join(codec.encode({}, {"update_zstd": pack(np.ones(SIZE, np.float32))}))
        unpacking = asyncio.create_task(service.unpacked(read_update(body, SIZE, "float32")))
        assert await asyncio.to_thread(begun.wait, SLOW_SECONDS)
        async with asyncio.timeout(SLOW_SECONDS / 2):
            assert (await service.pull(None, None, 0.0)).version.number == 0
        may_end.set()
        np.testing.assert_array_equal(await unpacking, np.ones(SIZE))

    asyncio.run(scene())


def test_repeat_that_comes_while_the_first_is_applied_is_a_duplicate(machine, service):
    async def scene():
        session, held, first = await under_way(machine, service)
        again = pushed(service, machine, session)
        held.may_end.set()
        assert [(await first).outcome, (await again).outcome] == ["applied", "duplicate"]
        assert machine.version.number == 1

    asyncio.run(scene())


def test_update_whose_session_ends_meanwhile_changes_nothing(machine, service):
    async def scene():
        session, held, pushing = await under_way(machine, service)
        machine.close_session(session)
        held.may_end.set()
        with pytest.raises(UnknownSessionError):
            await pushing
        assert machine.version.number == 0
        np.testing.assert_array_equal(machine.snapshot(Mark(1, 0, 2, "owner")).arrays["velocity"], np.zeros(SIZE))

    asyncio.run(scene())


def test_client_that_hangs_up_leaves_a_whole_update(machine, service):
    async def scene():
        session, held, pushing = await under_way(machine, service)
        pushing.cancel()
        next_one = pushed(service, machine, session, 1)
        held.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        assert (await next_one).applied.number == 2

    asyncio.run(scene())


def test_update_of_a_client_that_hung_up_is_told_to_those_who_wait(machine, service):
    async def scene():
        _, held, pushing = await under_way(machine, service)
        waiting = asyncio.create_task(service.pull(str(machine.version), None, SLOW_SECONDS))
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        held.may_end.set()
        async with asyncio.timeout(SLOW_SECONDS / 2):
            assert (await waiting).version.number == 1

    asyncio.run(scene())


def test_no_snapshot_is_taken_in_the_middle_of_an_update(machine, service):
    async def scene():
        _, held, pushing = await under_way(machine, service)
        service._committer._write = lambda state, replaces: state.mark
        committing = asyncio.create_task(service._committer._commit())
        await asyncio.sleep(0)
        assert not service._committer._unresolved
        held.may_end.set()
        await asyncio.gather(pushing, committing)
        assert service._committer._state.mark.number == 1

    asyncio.run(scene())
