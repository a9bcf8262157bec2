"""``docker compose`` of this checkout as an object: a project of its own, without Grafana, gone with all it kept."""

import fcntl
import itertools
import json
import os
import pty
import re
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.cluster.commands import ROOT, run
from tests.ports import free_port
from tests.waiting import wait_until

_NUMBERS = itertools.count(1)
_WITHOUT_GRAFANA = "services: {grafana: {profiles: [grafana]}}\n"
"""No machine of the tests has its image; what else is in the file runs as it is for everybody."""
_CONTROL = re.compile(r"\x1b[\[(][0-9;?]*[A-Za-z]|\x1b[78]")
_ASK = """
import http.client
token = open("/run/secrets/adql/tokens").read().split()[0]
connection = http.client.HTTPConnection("127.0.0.1", 8420, timeout=20)
connection.request("GET", "/v1/run", headers={"Authorization": f"Bearer {token}"})
print(connection.getresponse().read().decode())
"""
POLL_SECONDS = 1.0
"""A question is a process in a container: to ask without a pause would take the time of those who train."""
PROGRESS_SECONDS = 120
END_SECONDS = 30
"""Within which Ctrl-C ends all."""


class Stack:
    """One compose project; ``variables`` are what a .env would hold."""

    def __init__(self, directory: Path, tag: str, **variables: str) -> None:
        self.project = f"adql-test-{os.getpid()}-{next(_NUMBERS)}"
        self._without_grafana = directory / "without-grafana.yml"
        self._without_grafana.write_text(_WITHOUT_GRAFANA)
        self.prometheus_port = free_port()
        ports = {"ADQL_PROMETHEUS_PORT": str(self.prometheus_port), "ADQL_GRAFANA_PORT": str(free_port())}
        self.variables = {"ADQL_TAG": tag, **ports, **variables}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ADQL_", "COMPOSE_"))}
        self._others = kept | {"TERM": "xterm"}

    @property
    def environment(self) -> dict[str, str]:
        """What the command sees."""
        return self._others | self.variables

    def command(self, *words: str) -> list[str]:
        """Returns the whole command line."""
        files = ["--file", str(ROOT / "docker-compose.yml"), "--file", str(self._without_grafana)]
        return ["docker", "compose", "--project-name", self.project, "--env-file", os.devnull, *files, *words]

    def __call__(self, *words: str, seconds: float = 300) -> str:
        """Returns what a command printed on stdout and stderr; it must succeed."""
        done = self.tried(*words, seconds=seconds)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}"
        return done.stdout

    def tried(self, *words: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Runs a command that may fail."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command = self.command(*words)
        return subprocess.run(command, env=self.environment, cwd=ROOT, text=True, timeout=seconds, **streams)

    def containers(self, service: str | None = None) -> list[Any]:
        """Returns the containers as the engine tells them, also those that ended."""
        words = ["--filter", f"label=com.docker.compose.project={self.project}"]
        words += ["--filter", f"label=com.docker.compose.service={service}"] if service else []
        found = run("docker", "ps", "--all", "--quiet", *words).split()
        return json.loads(run("docker", "inspect", *found)) if found else []

    def is_healthy(self, service: str) -> bool:
        """Returns whether every container of a service says that it is well."""
        states = [container["State"] for container in self.containers(service)]
        return all(state["Running"] and state["Health"]["Status"] == "healthy" for state in states)

    def within(self, service: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the first container of a service."""
        command = ["docker", "exec", f"{self.project}-{service}-1", *words]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

    def about_the_run(self) -> Any:
        """Returns what the parameter server tells of its run; None while it does not answer."""
        done = self.within("parameter-server", "python", "-c", _ASK)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_until(self, condition: Callable[[], Any], seconds: float) -> None:
        """Waits for ``condition``; fails after ``seconds`` with the story."""
        wait_until(condition, seconds, self.story, every=POLL_SECONDS)

    def wait_for_progress(self, seconds: float = PROGRESS_SECONDS) -> None:
        """Waits for a newer version than there is now."""
        before = max(self.version(), (1, 0))
        self.wait_until(lambda: self.version() > before, seconds)

    def version(self) -> tuple[int, int]:
        """Returns epoch and version; below every other while the server does not answer."""
        about = self.about_the_run()
        return (about["state"]["epoch"], about["state"]["version"]) if about else (0, 0)

    def durable(self) -> tuple[int, int]:
        """Returns epoch and version of the newest commit."""
        state = self.about_the_run()["state"]
        return state["durable_epoch"], state["durable_version"]

    def story(self) -> str:
        """Returns what happened, for a test that failed."""
        return f"{self('ps', '--all')}\n{self('logs', '--tail', '20')}"


@contextmanager
def new_stack(directory: Path, tag: str, **variables: str) -> Iterator[Stack]:
    """A project whose containers, networks and volumes are gone afterwards."""
    stack = Stack(directory, tag, **variables)
    try:
        yield stack
    finally:
        stack("down", "--volumes", "--remove-orphans", "--timeout", "5")


class Terminal:
    """``docker compose up`` in a terminal, whose Ctrl-C is the key and no signal."""

    def __init__(self, stack: Stack, words: Sequence[str] = ()) -> None:
        self._terminal, slave = pty.openpty()
        self._process = subprocess.Popen(
            stack.command("up", *words),
            env=stack.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._seen = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._terminal, 65536):
                self._seen += chunk
        except OSError:  # the other end is closed
            pass

    @property
    def text(self) -> str:
        """What was shown so far, without colours."""
        return _CONTROL.sub("", self._seen.decode(errors="replace"))

    @property
    def is_up(self) -> bool:
        """Whether it said the last thing that it says at a start; fails when it ended instead."""
        assert self._process.poll() is None, self.text
        return "the curves: " in self.text

    def press_ctrl_c(self) -> int:
        """Returns the exit code of a command that ends in time."""
        os.write(self._terminal, b"\x03")
        return self._process.wait(END_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        os.close(self._terminal)
