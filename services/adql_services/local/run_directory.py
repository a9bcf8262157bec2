"""The folder of a run: what lies where, and who may write it."""

import fcntl
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from adql.config import RunSpecification, to_yaml
from adql.errors import InputError

EPISODES_HEADER = "unix_seconds,slot,run_environment_steps,return,length,epsilon,success\n"


class RunDirectory:
    """One run's folder. The parameter server's volume is the folder itself, so that its records need no copy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.specification = path / "run.yaml"
        self.command = path / "command.txt"
        self.summary = path / "summary.json"
        self.evaluations = path / "evaluations.csv"
        self.episodes = path / "episodes.csv"
        self.best_policy = path / "policy-best.safetensors"
        self.last_policy = path / "policy-last.safetensors"
        self.report = path / "report.html"
        self.store = path / "store"
        self.replay = path / "replay"
        self.logs = path / "logs"

    @classmethod
    def create(cls, path: Path, specification: RunSpecification, arguments: Sequence[str]) -> "RunDirectory":
        """Makes the folder of a new run.

        Raises:
            InputError: there is a run in it already, or the folder cannot be written.
        """
        directory = cls(path)
        if directory.specification.exists():
            raise InputError(f"{path} holds a run already; go on with it by `adql resume {path}` or choose another DIR")
        try:
            for folder in (path, directory.store, directory.replay, directory.logs):
                folder.mkdir(parents=True, exist_ok=True)
            directory.command.write_text(shlex.join(arguments) + "\n", encoding="utf-8")
            directory.episodes.write_text(EPISODES_HEADER, encoding="utf-8")
            directory.specification.write_text(to_yaml(specification), encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}; choose another DIR with --output") from None
        return directory

    def lock(self) -> None:
        """Keeps a second training out of this folder for as long as this process lives.

        Raises:
            InputError: another process trains here.
        """
        self._lock_file = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{self.path} is being trained in by another process; end that one or choose another DIR"
            ) from None


def new_path(specification: RunSpecification, now: datetime) -> Path:
    """Returns a folder name that is new each second: ``runs/CartPole-v1-20260131-235959``."""
    environment = specification.environment.id.rpartition(":")[2].replace("/", "-")
    return Path("runs") / f"{environment}-{now:%Y%m%d-%H%M%S}"
