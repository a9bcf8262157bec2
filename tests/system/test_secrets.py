"""After a whole run with a token and a store's password: neither stands anywhere but in its own file."""

import contextlib
from pathlib import Path

import psutil
import pytest
import redis

from adql.errors import AdqlError
from adql.wire import routes
from adql.wire.connection import Connection
from tests.store_process import running_store
from tests.system.launched import TINY, launched
from tests.waiting import wait_until

pytestmark = pytest.mark.system
PASSWORD = "a-password-of-the-store"
SERVICES = {"parameter-server", "replay", "learner-0", "learner-1", "evaluator"}


class Watcher:
    """Looks at the processes of a run as often as it is asked to, and gathers what anybody could read of them."""

    def __init__(self, launcher: int) -> None:
        self._launcher = psutil.Process(launcher)
        self.token = ""
        self.shown: dict[tuple[str, str], str] = {}
        """What was seen, by process and place."""

    def look(self) -> None:
        with contextlib.suppress(psutil.Error):
            for process in [self._launcher, *self._launcher.children(recursive=True)]:
                with contextlib.suppress(psutil.Error, OSError):
                    self._look_at(process)

    def _look_at(self, process: psutil.Process) -> None:
        arguments, environment = process.cmdline(), process.environ()
        side = environment.get("ADQL_SIDE", "")
        name = Path(side).stem.removesuffix("-side") or str(process.pid)
        self.shown[name, "argv"] = " ".join(arguments)
        self.shown[name, "environment"] = " ".join(f"{key}={value}" for key, value in environment.items())
        if side:
            self.token = self.token or Path(environment["ADQL_TOKEN_FILE"]).read_text().strip()
            self._scrape(name, side)

    def _scrape(self, name: str, side: str) -> None:
        with contextlib.suppress(AdqlError), Connection(side, token=lambda: None, timeout_seconds=5) as connection:
            self.shown[name, "metrics"] = bytes(connection.request("GET", routes.METRICS).body).decode()


def require_password(url: str) -> None:
    """Sets it while the store runs, so that it stands in nobody's command line."""
    with redis.Redis.from_url(url) as admin:
        admin.config_set("requirepass", PASSWORD)


def files_with(secret: str, folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_token_and_password_stand_in_no_log_argument_variable_metric_or_file_of_a_run(tmp_path):
    run, secrets = tmp_path / "run", tmp_path / "password"
    secrets.write_text(f"{PASSWORD}\n")
    with running_store(tmp_path / "store") as store:
        require_password(store.url)
        environ = {"ADQL_REDIS_URL": store.url, "ADQL_REDIS_PASSWORD_FILE": str(secrets)}
        words = ["--output", run, *TINY, "training.environment_steps=4000"]
        with launched(tmp_path / "log", "train", *words, environ=environ) as train:
            watcher = Watcher(train.process.pid)
            wait_until(lambda: watcher.look() or train.process.poll() is not None, what=train.said)
            assert train.process.returncode == 0, train.said()
    assert len(watcher.token) >= 32
    for place in ("argv", "environment", "metrics"):
        assert {name for name, where in watcher.shown if where == place} >= SERVICES
    assert files_with(watcher.token, tmp_path) == []
    assert files_with(PASSWORD, tmp_path) == [str(secrets)]
    for secret in (watcher.token, PASSWORD):
        assert [where for where, text in watcher.shown.items() if secret in text] == []
    assert {path.stem for path in (run / "logs").iterdir()} >= SERVICES
