"""A volume that cannot be written stops nothing, and is seen from outside until it can be written again."""

import asyncio
import errno
import os

import pytest
from structlog.testing import capture_logs

from adql.errors import UnavailableError
from adql.replay import Snapshots
from adql.telemetry.metrics import VOLUME
from adql.wire import routes
from adql_services.replay.service import ReplayService
from adql_services.runtime.volume import VolumeWatch
from tests.clocks import Clock
from tests.replay.tables import make_table
from tests.services.metrics_page import scrape
from tests.services.pushes import push
from tests.waiting import wait_until


def gauge() -> float | None:
    return VOLUME.get_sample_value("adql_volume_write_failing")


def fail(watch: VolumeWatch, what: str) -> None:
    with pytest.raises(OSError, match="No space left"), watch.writing(what):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write(watch: VolumeWatch, what: str) -> None:
    with watch.writing(what):
        pass


def test_what_cannot_be_written_is_told_until_it_can_whatever_else_is_written():
    watch = VolumeWatch()
    fail(watch, "a checkpoint")
    write(watch, "the watermark")
    assert watch.trouble == "a checkpoint: [Errno 28] No space left on device" and gauge() == 1.0
    write(watch, "a checkpoint")
    assert watch.trouble is None and gauge() == 0.0


def test_two_troubles_are_told_and_one_of_them_alone_is_one_still():
    watch = VolumeWatch()
    fail(watch, "a checkpoint")
    fail(watch, "the watermark")
    assert watch.trouble.count("No space left") == 2
    write(watch, "a checkpoint")
    assert watch.trouble.startswith("the watermark: ") and gauge() == 1.0


def test_disk_that_fails_now_and_then_is_told_of_ever_less_often():
    clock = Clock()
    watch = VolumeWatch(clock)
    with capture_logs() as lines:
        for _ in range(50):
            fail(watch, "the watermark")
            write(watch, "the watermark")
    assert [line["event"] for line in lines] == ["cannot write to the volume", "writes to the volume again"]


def test_another_write_error_is_no_trouble_of_the_volume():
    watch = VolumeWatch()
    with pytest.raises(ValueError, match="bug"), watch.writing("a checkpoint"):
        raise ValueError("bug")
    assert watch.trouble is None


def test_watermark_that_cannot_be_written_is_told_of_until_it_can_while_commits_go_on(server, client):
    watermark = server.directory / "volume" / "watermark"
    watermark.unlink()
    watermark.mkdir()
    push(client)
    wait_until(lambda: server.get(routes.RUN)["volume_trouble"] is not None)
    assert "the watermark: [Errno 21] Is a directory" in server.get(routes.RUN)["volume_trouble"]
    assert scrape(server.side).value("adql_volume_write_failing") == 1
    wait_until(lambda: server.get(routes.RUN)["state"]["durable_version"] == 1)
    watermark.rmdir()
    push(client)
    wait_until(lambda: server.get(routes.RUN)["volume_trouble"] is None)
    assert scrape(server.side).value("adql_volume_write_failing") == 0
    wait_until(lambda: "writes to the volume again" in server.log())


def test_replay_whose_volume_is_full_says_so_at_its_metrics_until_a_snapshot_is_written(tmp_path):
    full = [True]

    def open_file(path):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return path.open("wb")

    async def scenario():
        service = ReplayService(make_table(), Snapshots(tmp_path, "run", open_file=open_file), "hash")
        with pytest.raises(UnavailableError):
            await service.snapshot()
        assert gauge() == 1.0
        full[0] = False
        await service.snapshot()
        assert gauge() == 0.0

    asyncio.run(scenario())
