"""The folder of a run: what lies where, and who may write it."""

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from adql.config import RunSpecification, to_yaml
from adql.errors import InputError
from adql.files import hold_lock, write_atomically

NEEDED_BYTES = 64 * 1024**2
"""Free space without which a run is not begun: the store's append-only file alone grows to several times that."""
LOCK = ".lock"


class RunDirectory:
    """One run's folder. The parameter server's volume is the folder itself, so that its records need no copy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.specification = path / "run.yaml"
        self.command = path / "command.txt"
        self.summary = path / "summary.json"
        self.evaluations = path / "evaluations.csv"
        self.episodes = path / "episodes.csv"
        self.progress = path / "progress.csv"
        self.best_policy = path / "policy-best.safetensors"
        self.last_policy = path / "policy-last.safetensors"
        self.report = path / "report.html"
        self.watermark = path / "watermark"
        self.checkpoints = path / "checkpoints"
        self.store = path / "store"
        self._store_address = self.store / "address"
        self.replay = path / "replay"
        self.logs = path / "logs"
        self._new, self._made = False, False
        self._lock: int | None = None
        self._folder: int | None = None

    @classmethod
    def create(cls, path: Path, specification: RunSpecification, arguments: Sequence[str]) -> "RunDirectory":
        """Makes and locks the folder of a new run.

        Raises:
            InputError: a run is in it or begins there now, the folder cannot be written, or its disk is full.
        """
        directory = cls(path)
        try:
            with looking_into(path):
                directory._check_empty()
            directory._make(specification, arguments)
        except InputError:
            directory._give_up()
            raise
        except OSError as error:
            directory._give_up()
            raise InputError(f"cannot write {path}: {error.strerror}; choose another DIR with --output") from None
        except UnicodeEncodeError:
            directory._give_up()
            raise InputError(f"{os.fsencode(path)!r} is no name in UTF-8; choose another DIR with --output") from None
        return directory

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Opens and locks the folder of an existing run.

        Raises:
            InputError: there is no run in it, or another process trains here.
        """
        directory = cls(path)
        directory.check_holds_run()
        directory.lock()
        for folder in (directory.replay, directory.logs):
            folder.mkdir(exist_ok=True)
        return directory

    def check_holds_run(self) -> None:
        """Refuses a folder without a run.

        Raises:
            InputError: there is no run in it, or this user may not look.
        """
        with looking_into(self.path):
            if not self.specification.exists():
                raise InputError(f"{self.path} holds no run (no run.yaml); name the DIR of an `adql train`")

    def lock(self) -> None:
        """Keeps a second training out of this folder for as long as this process lives.

        Raises:
            InputError: another process trains here.
        """
        if self._folder is not None:
            return
        try:
            self._lock = hold_lock(self.path / LOCK)
            if self._lock is not None:
                self._folder = os.open(self.path, os.O_RDONLY)  # while it is open, no other folder has its number
                return
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}; it needs write access") from None
        raise InputError(
            f"{self.path} is being trained in by another process; choose another DIR, "
            f"or wait until that one has ended and go on with `adql resume {self.path}`"
        )

    def check_space(self, needed_bytes: int = NEEDED_BYTES) -> None:
        """Refuses a disk without room.

        Raises:
            InputError: says how much there is and how to go on.
        """
        free = shutil.disk_usage(self.path).free
        if free < needed_bytes:
            to_begin = max(needed_bytes, NEEDED_BYTES)  # a run that stops by less goes on by `adql resume`
            raise InputError(
                f"the disk of {self.path} has {free / 1e6:.1f} MB free, needed are {to_begin / 1e6:.0f} MB; "
                f"make room{self._way_out()}"
            )

    def is_there(self) -> bool:
        """Whether the folder that was locked still lies at its path, with the run in it."""
        try:
            same = self._folder is None or os.path.samestat(os.fstat(self._folder), self.path.stat())
        except OSError:
            return False
        return same and self.specification.exists() and self.store.is_dir()

    def discard(self) -> bool:
        """Removes the folder of a run that never began, if this process made it; a folder that was there is emptied."""
        if self._made:
            shutil.rmtree(self.path, ignore_errors=True)
        elif self._new:
            for part in self.path.iterdir():
                shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
        return self._new

    def _way_out(self) -> str:
        return f", then `adql resume {self.path}`" if self.specification.exists() else " or choose another DIR"

    def _check_empty(self) -> None:
        """Where another process has begun, its lock tells so before its files are there; what is refused is not kept.

        A folder with nothing but a lock that nobody holds is as good as empty.
        """
        if (self.path / LOCK).exists():
            self.lock()
        if self.specification.exists():
            raise InputError(
                f"{self.path} holds a run already; go on with it by `adql resume {self.path}` or choose another DIR"
            )
        if self.path.is_dir() and any(part.name != LOCK for part in self.path.iterdir()):
            raise InputError(f"{self.path} is not empty and holds no run; choose another DIR with --output")

    def _give_up(self) -> None:
        self.discard()
        for descriptor in (self._lock, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._folder = None

    def _make(self, specification: RunSpecification, arguments: Sequence[str]) -> None:
        made = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock()
        self._new, self._made = True, made  # not before: who lost the race for the lock removes nothing
        self.check_space()
        for folder in (self.store, self.replay, self.logs):
            folder.mkdir()
        self.note_command(arguments)
        self.write_specification(specification)

    def note_store(self, address: str) -> None:
        """Says for later commands that the run's state is in the store at ``address``."""
        self._store_address.write_text(f"{address}\n", encoding="utf-8")

    def check_store(self, is_named: bool) -> None:
        """Refuses to look for the run's state in another store than it is in; ``is_named``: ADQL_REDIS_URL names one.

        Raises:
            InputError: says where it is.
        """
        elsewhere = self._store_address.exists()
        if elsewhere and not is_named:
            address = self._store_address.read_text(encoding="utf-8").strip()
            raise InputError(f"the state of {self.path} is in the store at {address}; set ADQL_REDIS_URL to it")
        if is_named and not elsewhere and self.store.is_dir():
            raise InputError(f"the state of {self.path} is in its own store, {self.store}; unset ADQL_REDIS_URL")

    def note_command(self, arguments: Sequence[str]) -> None:
        """Appends a command line to command.txt."""
        with self.command.open("a", encoding="utf-8") as file:
            file.write(shlex.join(arguments) + "\n")

    def write_specification(self, specification: RunSpecification) -> None:
        """Writes run.yaml, whole or not at all."""
        write_atomically(self.specification, to_yaml(specification).encode())


@contextmanager
def looking_into(path: Path) -> Iterator[None]:
    """Where this user may not even look, says so in one line.

    Raises:
        InputError: instead of a PermissionError.
    """
    try:
        yield
    except PermissionError as error:
        raise InputError(f"cannot look into {path}: {error.strerror}; choose a DIR that you may use") from None


def new_path(specification: RunSpecification, now: datetime) -> Path:
    """Returns a path where nothing is yet: ``runs/CartPole-v1-20260131-235959``."""
    environment = specification.environment.id.rpartition(":")[2].replace("/", "-")
    path = Path("runs") / f"{environment}-{now:%Y%m%d-%H%M%S}"
    number = 2
    while path.exists():
        path, number = path.with_name(f"{environment}-{now:%Y%m%d-%H%M%S}-{number}"), number + 1
    return path
