"""What ``adql restore`` does with an embedded store that does not start."""

import pytest

from adql.errors import RunFailedError, StoreLostError
from adql_services.local import restore
from adql_services.local.run_directory import RunDirectory


class StoreDouble:
    """Its first start fails as told."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    def start(self) -> None:
        if self._failures:
            raise self._failures.pop()


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "kept").touch()
    return RunDirectory(tmp_path)


def test_store_that_is_only_slow_is_left_where_it_is(monkeypatch, directory):
    monkeypatch.setattr(restore, "LocalStore", lambda path: StoreDouble(RunFailedError("does not answer")))
    with pytest.raises(RunFailedError, match="does not answer"):
        restore._started(directory)
    assert (directory.store / "kept").exists()


def test_damaged_store_is_put_aside_and_never_deleted(monkeypatch, directory, capsys):
    monkeypatch.setattr(restore, "LocalStore", lambda path: StoreDouble(StoreLostError("damaged")))
    restore._started(directory)
    (aside,) = directory.path.glob("store-damaged-*")
    assert (aside / "kept").exists() and str(aside) in capsys.readouterr().out
