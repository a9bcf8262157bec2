import asyncio
import fcntl
import os
import threading
import time

import pytest

from adql.config import ReplayServerSettings, specification_from
from adql.errors import ConfigError, InputError, RateLimitedError, UnavailableError, WrongRunError
from adql.replay import Snapshots
from adql.telemetry.metrics import REPLAY
from adql_services.replay import main
from adql_services.replay.service import ReplayService, _publish
from adql_services.runtime.shutdown import Shutdown
from tests.replay.tables import make_table, transitions

RUN = specification_from(
    {"environment": {"signature": {"observation_shape": [4], "actions": 3}}, "replay": {"capacity": 1_000}}
)


def service_of(tmp_path, **settings) -> ReplayService:
    limits = {"ratio": 1.0, "min_size": 1, "request": 8, "chunk": 4}
    return ReplayService(make_table(**limits | settings), Snapshots(tmp_path, "run"), "hash")


async def fill(service) -> int:
    """Inserts until the table refuses; returns the next chunk number."""
    chunk = 0
    while True:
        try:
            await service.insert("a", chunk, transitions(chunk, 1), None, 0.0)
        except RateLimitedError:
            return chunk
        chunk += 1


async def a_few_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_waiting_insert_passes_as_soon_as_something_is_sampled(tmp_path):
    async def scenario():
        service = service_of(tmp_path)
        chunk = await fill(service)
        waiting = asyncio.create_task(service.insert("a", chunk, transitions(chunk, 1), None, 1.0))
        await a_few_turns()
        assert not waiting.done()
        await service.sample("b", 1, 8, 0.0)
        await a_few_turns()
        assert waiting.done()
        assert waiting.result().inserted == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("moves", ["insert", "give back"])
def test_a_waiting_sample_passes_as_soon_as_there_is_room(tmp_path, moves):
    async def scenario():
        service = service_of(tmp_path)
        await service.insert("a", 0, transitions(0, 1), None, 0.0)
        first = await service.sample("a", 2, 4, 0.0)
        await service.sample("a", 1, 8, 0.0)
        waiting = asyncio.create_task(service.sample("a", 1, 4, 1.0))
        await a_few_turns()
        assert not waiting.done()
        if moves == "insert":
            await service.insert("a", 1, transitions(1, 4), None, 0.0)
        else:
            await service.give_back(1, [first.first_batch])
        await a_few_turns()
        assert waiting.done()

    asyncio.run(scenario())


def waited(verb: str) -> float:
    return REPLAY.get_sample_value("adql_replay_wait_seconds_total", {"verb": verb})


def test_seconds_that_a_request_waits_for_the_limiter_are_counted_by_verb(tmp_path):
    async def scenario():
        service = service_of(tmp_path)
        chunk = await fill(service)
        before = waited("insert"), waited("sample")
        with pytest.raises(RateLimitedError):
            await service.insert("a", chunk, transitions(chunk, 1), None, 0.02)
        assert 0.01 <= waited("insert") - before[0] < 5.0  # the deadline was set before the counted wait began
        assert waited("sample") == before[1]

    asyncio.run(scenario())


def test_gauges_show_what_the_table_may_hold_and_how_far_its_limiter_goes(tmp_path):
    statistics = service_of(tmp_path).statistics()
    _publish(statistics)
    assert REPLAY.get_sample_value("adql_replay_capacity_transitions") == statistics.capacity
    assert REPLAY.get_sample_value("adql_replay_limiter_bound") == statistics.bound


def test_a_full_volume_is_an_unavailable_service_that_goes_on(tmp_path):
    async def scenario():
        def full(path):
            raise OSError(28, "No space left on device")

        service = ReplayService(make_table(), Snapshots(tmp_path, "run", open_file=full), "hash")
        with pytest.raises(UnavailableError, match="No space left on device; make room on the volume"):
            await service.snapshot()
        assert (await service.insert("a", 0, transitions(0, 1), None, 0.0)).size == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("earlier", [True, False])
def test_snapshot_that_cannot_be_written_says_what_a_restart_would_begin_with(tmp_path, earlier):
    async def scenario():
        def full(path):
            raise OSError(28, "No space left on device")

        if earlier:
            await service_of(tmp_path).snapshot()
        service = ReplayService(make_table(), Snapshots(tmp_path, "run", open_file=full), "hash")
        with pytest.raises(UnavailableError) as refused:
            await service.snapshot()
        stands = (
            f"the earlier {0:020d}.snapshot stands" if earlier else "there is no earlier one: a restart begins empty"
        )
        assert str(refused.value).endswith(f"make room on the volume; {stands}")

    asyncio.run(scenario())


def test_snapshots_are_written_again_and_again(tmp_path):
    async def scenario():
        service = service_of(tmp_path)
        regular = asyncio.create_task(service.snapshot_regularly(0.001))
        async with asyncio.timeout(20):
            while len(Snapshots(tmp_path, "run").files()) < 2:
                await asyncio.sleep(0.001)
        regular.cancel()

    asyncio.run(scenario())


def test_the_last_snapshot_waits_for_one_that_is_under_way(tmp_path):
    """A thread that writes cannot be called back: two would write at once."""
    writing, most, started = 0, 0, threading.Event()

    class Slow(Snapshots):
        def write(self, table, state):
            nonlocal writing, most
            writing += 1
            most = max(most, writing)
            started.set()
            time.sleep(0.05)  # the length of the write, not a wait for anything
            writing -= 1
            return 0

    async def scenario():
        lifetime = main._Lifetime(ReplayService(make_table(), Slow(tmp_path, "run"), "hash"), 0.001, Shutdown())
        await lifetime.begin()
        await asyncio.to_thread(started.wait, 10)
        await lifetime.end()

    asyncio.run(scenario())
    assert (writing, most) == (0, 1)


@pytest.mark.parametrize("work", ["publish_regularly", "snapshot_regularly"])
def test_background_work_that_fails_ends_the_service_with_the_reason(tmp_path, monkeypatch, work):
    async def fail(*arguments):
        raise MemoryError("no room for a copy")

    async def scenario():
        service, shutdown = service_of(tmp_path), Shutdown()
        monkeypatch.setattr(service, work, fail)
        lifetime = main._Lifetime(service, 60.0, shutdown)
        await lifetime.begin()
        async with asyncio.timeout(10):
            await shutdown.begun.wait()
        await lifetime.end()
        return str(shutdown.failure)

    assert "failed: MemoryError('no room for a copy')" in asyncio.run(scenario())


def test_background_work_that_is_cancelled_at_the_end_is_no_failure(tmp_path):
    async def scenario():
        shutdown = Shutdown()
        lifetime = main._Lifetime(service_of(tmp_path), 60.0, shutdown)
        await lifetime.begin()
        await lifetime.end()
        await a_few_turns()
        return shutdown.begun.is_set()

    assert not asyncio.run(scenario())


def test_a_snapshot_after_a_cancelled_one_waits_for_its_thread_and_both_are_whole(tmp_path):
    """The thread of a request that was cancelled still writes."""
    opened, started, go_on = [], threading.Event(), threading.Event()

    def held_up(path):
        opened.append(path.name)
        started.set()
        assert go_on.wait(10)
        return path.open("wb")

    async def scenario():
        service = ReplayService(make_table(), Snapshots(tmp_path, "run", open_file=held_up), "hash")
        await service.insert("a", 0, transitions(0, 1), None, 0.0)
        cancelled = asyncio.create_task(service.snapshot())
        assert await asyncio.to_thread(started.wait, 10)
        cancelled.cancel()
        following = asyncio.create_task(service.snapshot())
        await asyncio.wait({following}, timeout=0.1)  # as long as another writer would need to begin
        assert len(opened) == 1
        go_on.set()
        await following

    asyncio.run(scenario())
    assert opened == [f".{number:020d}.snapshot.{os.getpid()}.tmp" for number in (0, 1)]
    for number in (1, 0):
        table, snapshots = make_table(incarnation=2), Snapshots(tmp_path, "run")
        assert (snapshots.restore(table), len(table)) == ([], 1)
        snapshots.files()[0].unlink()
        assert len(snapshots.files()) == number


def test_a_client_of_another_configuration_is_refused(tmp_path):
    with pytest.raises(WrongRunError, match="configuration differs from this run's"):
        service_of(tmp_path).check_configuration("other")


def test_a_directory_that_cannot_be_written_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(main.logs, "configure", lambda format, service: None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to .*file: .*; give it room or rights, or set ADQL_DIRECTORY"):
        main.run(RUN, ReplayServerSettings(directory=tmp_path / "file", auth=False))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"capacity_bytes": 43_999},
            r"replay.capacity 1000 needs 44000 bytes \(44 a transition\).* lower capacity to 999",
        ),
        ({"chunk_transitions": 1_001}, r"replay.chunk_transitions 1001 must be in 1\.\.1000"),
        (
            {"chunk_transitions": 978},
            r"replay.capacity 1000 is below 1001, .*environment.copies 8 · algorithm.n_steps 3.* capacity to 1001",
        ),
    ],
)
def test_a_table_that_cannot_work_is_refused_by_key(changes, complaint):
    replay = RUN.replay.model_copy(update=changes)
    with pytest.raises(ConfigError, match=complaint):
        main.make_table(RUN.model_copy(update={"replay": replay}), incarnation=1)


def test_a_table_that_holds_exactly_the_largest_insert_is_made():
    replay = RUN.replay.model_copy(update={"chunk_transitions": 977})
    main.make_table(RUN.model_copy(update={"replay": replay}), incarnation=1)


def test_directory_of_a_living_service_is_refused_to_a_second_one(tmp_path, monkeypatch):
    monkeypatch.setattr(main.logs, "configure", lambda format, service: None)
    holder = os.open(tmp_path / ".lock", os.O_CREAT | os.O_WRONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=rf"ADQL_DIRECTORY={tmp_path} is in use .*another directory or stop"):
            main.run(RUN, ReplayServerSettings(directory=tmp_path, auth=False))
    finally:
        os.close(holder)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
