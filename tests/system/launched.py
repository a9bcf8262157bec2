"""Starts the `adql` command as a person would."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from adql.parameters.course import read_moments

TINY = [
    "network.hidden=[16]",
    "replay.min_size=200",
    "evaluation.every_learner_steps=200",
    "evaluation.episodes=2",
    "evaluation.confirm_episodes=3",
]
"""Settings under which a run takes seconds."""
SHORT = [*TINY, "training.environment_steps=2000"]
LONG = [*TINY, "training.environment_steps=100000000"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ADQL_")}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "adql_services.cli", *map(str, arguments)]


def adql(*arguments: object, environ: Mapping[str, str] | None = None, cwd: Path | None = None, seconds: float = 90.0):
    """Runs one command to its end."""
    return subprocess.run(
        command(*arguments),
        env={**ENVIRONMENT, **(environ or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


class Launched:
    """A command under way; what it says goes to a file."""

    def __init__(self, log: Path, *arguments: object, environ: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command(*arguments), env={**ENVIRONMENT, **(environ or {})}, stdout=output, stderr=output
            )

    def said(self) -> str:
        return self.log.read_text()

    def children(self) -> dict[str, psutil.Process]:
        """Returns the services by name: parameter-server, replay, learner-0, …, evaluator, store."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if "valkey" in "".join(child.cmdline()):
                    found["store"] = child
                elif side := child.environ().get("ADQL_SIDE"):
                    found[Path(side).stem.removesuffix("-side")] = child
        return found

    def stop(self, number: int = signal.SIGINT, seconds: float = 30.0) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Ends the command and its services at once."""
        left = list(self.children().values()) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(left, timeout=10)  # they end with their parent, if they do not hang
        for child in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(alive, timeout=10)


@contextlib.contextmanager
def launched(log: Path, *arguments: object, environ: Mapping[str, str] | None = None) -> Iterator[Launched]:
    """Yields a command under way and ends it, whatever happened."""
    run = Launched(log, *arguments, environ=environ)
    try:
        yield run
    finally:
        try:
            if run.process.poll() is None:
                run.stop(signal.SIGTERM)
        finally:
            run.kill()


def steps(directory: Path) -> int:
    """Returns the environment steps in the last line of progress.csv, 0 before there is one."""
    moments = read_moments(directory / "progress.csv")
    return moments[-1].environment_steps if moments else 0
