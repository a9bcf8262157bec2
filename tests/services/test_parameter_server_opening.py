"""A server that may not begin says why in one line and ends with exit code 2; the store is left as it was."""

import contextlib
import errno
import os

import pytest

from adql.config import ParameterServerSettings
from adql.errors import InputError, StoreUnavailableError
from adql.parameters.store import WeightStore
from adql.parameters.volume import Volume
from adql_services.parameter_server.opening import open_run
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess


def settings_of(directory, url) -> ParameterServerSettings:
    return ParameterServerSettings(directory=directory, redis_url=url, auth=False)


def refusal(server: ServerProcess) -> str:
    """Returns the last line of a server that ends with exit code 2, and without a traceback."""
    try:
        assert server.start(ready=False).process.wait(20) == 2, server.log()
    finally:
        server.kill()
    assert "Traceback" not in server.log()
    return server.log().splitlines()[-1]


@pytest.mark.system
@pytest.mark.parametrize("broken", ["", "watermark"])
def test_directory_that_cannot_be_used_is_one_line_with_the_way_out(redis_url, tmp_path, broken):
    """A file lies where the directory, or a directory where the file should be."""
    volume = tmp_path / "volume"
    if broken:
        (volume / broken).mkdir(parents=True)
    else:
        volume.touch()
    said = refusal(ServerProcess(tmp_path, tiny_specification(), redis_url))
    assert f"adql: error: cannot write to {volume}" in said and "give it room or rights, or set ADQL_DIRECTORY" in said


def test_full_volume_is_one_line_with_the_way_out(redis_url, tmp_path, monkeypatch):
    def full(self, identity, mark):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Volume, "remember", full)
    specification = tiny_specification(run={"name": "full"})
    with pytest.raises(InputError, match=r"cannot write to .*: No space left on device; give it room"):
        open_run(specification, settings_of(tmp_path, redis_url))


def epoch_in(url: str, run: str) -> int:
    """Returns the epoch that the store holds of a run, 0 where it does not know it."""
    with contextlib.closing(WeightStore(url, run)) as store:
        mark = store.mark()
    return mark.epoch if mark else 0


def syncing_fails(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_volume_that_cannot_be_written_takes_no_epoch_however_often_the_server_starts(redis_url, tmp_path, monkeypatch):
    specification = tiny_specification(run={"name": "unwritable"})
    settings = settings_of(tmp_path, redis_url)
    monkeypatch.setattr(os, "fsync", syncing_fails)
    for _ in range(3):
        with pytest.raises(InputError) as refused:
            open_run(specification, settings)
        assert epoch_in(redis_url, "unwritable") == 0
    said = f"cannot write to {tmp_path}: No space left on device; give it room or rights, or set ADQL_DIRECTORY"
    assert str(refused.value).startswith(said)
    monkeypatch.undo()
    open_run(specification, settings)
    assert epoch_in(redis_url, "unwritable") == 1 and not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("place", ["watermark", "evaluations.csv", "episodes.csv"])
def test_volume_with_a_file_that_cannot_be_written_takes_no_epoch(redis_url, tmp_path, place):
    name = f"broken-{place.removesuffix('.csv')}"
    specification = tiny_specification(run={"name": name})
    open_run(specification, settings_of(tmp_path, redis_url))
    (tmp_path / place).unlink()
    (tmp_path / place).mkdir()
    with pytest.raises(InputError, match=rf"cannot write to {tmp_path}/{place}: Is a directory; give it room"):
        open_run(specification, settings_of(tmp_path, redis_url))
    assert epoch_in(redis_url, name) == 1


def test_store_that_does_not_answer_is_waited_for_as_long_as_was_asked(tmp_path):
    nobody = f"unix://{tmp_path}/nobody.sock"
    settings = ParameterServerSettings(directory=tmp_path, redis_url=nobody, auth=False, store_wait_seconds=0.3)
    with pytest.raises(StoreUnavailableError, match=r"was waited for 0\.3 s: start it there, or set ADQL_REDIS_URL"):
        open_run(tiny_specification(), settings)


@pytest.mark.system
def test_directory_of_another_run_is_refused_by_that_runs_name(redis_url, tmp_path):
    with ServerProcess(tmp_path, tiny_specification(run={"name": "first"}), redis_url) as first:
        assert first.terminate() == 0
    said = refusal(ServerProcess(tmp_path, tiny_specification(run={"name": "other"}), redis_url))
    assert (
        "this server's directory belongs to run 'first', not 'other'; go on with run.name=first, or set ADQL_DIRECTORY"
        in said
    )
    assert "restore" not in said
