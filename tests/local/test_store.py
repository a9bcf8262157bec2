import stat
import tempfile

import pytest

from adql_services.local.doctor import unix_sockets, weight_store
from adql_services.local.store import LocalStore


@pytest.fixture
def long_tmpdir(tmp_path, monkeypatch):
    """$TMPDIR longer than any socket's path may be."""
    place = tmp_path / ("long" * 30)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_store_starts_under_a_long_tmpdir_and_its_socket_is_private(tmp_path, long_tmpdir):
    store = LocalStore(tmp_path / "store")
    try:
        store.start()
        folder = store._socket.parent
        assert len(str(store._socket)) < 50
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        store.close()
    assert not folder.exists()


@pytest.mark.parametrize("check", [unix_sockets, weight_store])
def test_doctor_finds_nothing_wrong_with_a_long_tmpdir(tmp_path, long_tmpdir, monkeypatch, check):
    monkeypatch.delenv("ADQL_REDIS_URL", raising=False)
    assert check(tmp_path).verdict == "ok"
