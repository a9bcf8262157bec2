"""The embedded store of a local run."""

import random
from pathlib import Path

import pytest

from adql.config import ParameterServerSettings, load_settings, specification_from
from adql.errors import ConfigError, StoreLostError
from adql.parameters.size import RECORD_BYTES, state_bytes
from adql_services.local import cpu, keeper
from adql_services.local.crew import Crew
from adql_services.local.run_directory import RunDirectory
from adql_services.parameter_server.opening import open_run

TINY = {"environment": {"signature": {"observation_shape": [4], "actions": 2}}}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"redis_url": "nowhere"}, r"^ADQL_REDIS_URL: .*; correct it$"),
        ({"redis_password_file": "/nowhere/secret"}, r"^ADQL_REDIS_PASSWORD_FILE=/nowhere/secret: .*; correct it$"),
    ],
)
def test_store_that_cannot_be_opened_is_refused_alike_by_launcher_and_server(tmp_path, own, said):
    settings = load_settings(ParameterServerSettings, {"directory": str(tmp_path), "auth": False, **own}, {})
    for opening in (lambda: keeper.connect(settings, "run"), lambda: open_run(specification_from(TINY), settings)):
        with pytest.raises(ConfigError, match=said):
            opening()


class StoreDouble:
    """A store whose every life has the next process id; ``exit_code`` says that it died."""

    url, log = "unix:///nowhere", None

    def __init__(self):
        self.lives, self.exit_code = 0, None

    @property
    def pid(self):
        return self.lives if self.exit_code is None else None

    def start(self):
        self.lives, self.exit_code = self.lives + 1, None


def test_cpu_of_a_store_that_was_started_again_counts_its_earlier_life(tmp_path, monkeypatch):
    seconds = {1: 3.0, 2: 0.5}
    monkeypatch.setattr(cpu, "_of_process", seconds.__getitem__)
    monkeypatch.setattr(keeper, "LocalStore", lambda directory, state_bytes: StoreDouble())
    kept = keeper.StoreKeeper(tmp_path, lambda line: None)
    kept.start()
    assert kept.cpu_seconds() == 3.0
    kept._store.exit_code = -9
    assert kept.cpu_seconds() == 3.0
    kept.check()
    assert kept.cpu_seconds() == 3.5


def flip_the_end(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 0x40
    file.write_bytes(content)


def garble(file: Path) -> None:
    file.write_bytes(random.Random(0).randbytes(300))


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        *(("*.incr.aof", garble), ("*.manifest", garble), ("*.base.rdb", garble), ("*.base.rdb", flip_the_end)),
        *(("*.base.rdb", Path.unlink), ("*.incr.aof", Path.unlink)),
    ],
)
def test_damaged_file_of_the_store_names_restore_as_the_way_out(tmp_path, part, damage):
    kept = keeper.StoreKeeper(tmp_path / "run" / "store", lambda line: None)
    (tmp_path / "run").mkdir()
    try:
        kept.start()
        kept.stop()
        (file,) = (tmp_path / "run" / "store" / "appendonlydir").glob(part)
        damage(file)
        with pytest.raises(StoreLostError, match=r"are damaged.*`adql restore .*run`") as refused:
            kept.start()
        assert refused.value.exit_code == 2
    finally:
        kept.stop()


@pytest.mark.parametrize("rule", ["average", "gradient", "delta"])
def test_embedded_store_is_durable_enough_for_a_state_above_16_mb(tmp_path, monkeypatch, rule):
    specification = specification_from(
        {
            "environment": {"signature": {"observation_shape": [4], "actions": 2}},
            "network": {"hidden": [2048, 2048]},
            "update": {"rule": rule},
        }
    )
    monkeypatch.delenv("ADQL_REDIS_URL", raising=False)
    size = state_bytes(specification)
    crew = Crew(specification, RunDirectory.create(tmp_path / "run", specification, ["test"]), print)
    try:
        url, _ = crew.start_store()
        own = {"redis_url": url, "directory": str(tmp_path / "volume"), "auth": False}
        opened = open_run(specification, load_settings(ParameterServerSettings, own, {}))
        assert opened.state.nbytes + RECORD_BYTES == size > 16 * 2**20
        opened.store.close()
    finally:
        crew.wait(deadline=0.0)
