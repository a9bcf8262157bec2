"""A server that may not begin says why in one line and ends with exit code 2; the store is left as it was."""

import pytest

from adql.config import ParameterServerSettings
from adql.errors import InputError, StoreUnavailableError
from adql.parameters.volume import Volume
from adql_services.parameter_server.opening import open_run
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess


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
    assert f"adql: error: cannot write to {volume}" in said and "name a directory that can be written" in said


def test_full_volume_is_one_line_with_the_way_out(redis_url, tmp_path, monkeypatch):
    def full(self, identity, mark):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Volume, "remember", full)
    specification = tiny_specification(run={"name": "full"})
    with pytest.raises(InputError, match=r"cannot write to .*: No space left on device; name a directory"):
        open_run(specification, ParameterServerSettings(directory=tmp_path, redis_url=redis_url, auth=False))


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
    assert "this server's directory belongs to run 'first', not 'other'; go on with run.name=first, or give" in said
    assert "restore" not in said
