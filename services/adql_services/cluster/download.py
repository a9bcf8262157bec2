"""``adql k8s download DIR``: the folder that `adql train` makes, from the volume of a release's parameter server."""

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from adql.bundle import read_bundle
from adql.errors import InputError, MalformedBodyError
from adql_services.cluster.api import Cluster
from adql_services.cluster.execution import Execution
from adql_services.cluster.inside import ask, check
from adql_services.cluster.release import find_release
from adql_services.cluster.status import restarts

STATUS = "status.json"
"""The run's status among the files that come."""


class Completing(Protocol):
    """Makes summary and report from what came."""

    def __call__(
        self, path: Path, run: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]], process_restarts: int | None
    ) -> str:
        """Returns in words how the run stands."""


def download(cluster: Cluster, name: str, path: Path, complete: Completing) -> int:
    """Makes ``path`` whole, or not at all; returns 0.

    Raises:
        InputError: something is there already, or it cannot be written.
        RunFailedError: no parameter server runs, or it does not answer.
        MalformedBodyError: not all of it came.
    """
    _check_free(path)
    release = find_release(cluster, name)
    with _beside(path) as folder:
        with ask(cluster, release, "export") as execution:
            _receive(execution, folder)
        told = json.loads((folder / STATUS).read_bytes())
        (folder / STATUS).unlink()
        words = complete(folder, told["run"], told["evaluations"], restarts(release))
        folder.chmod(0o755)
        folder.replace(path)
    sys.stdout.write(f"{words}\n{path}: open {path / 'report.html'}, or `adql evaluate {path}`\n")
    return 0


def _receive(execution: Execution, folder: Path) -> None:
    """What a command that failed has written is no bundle; its own words, which come after it, say more."""
    stream = io.BufferedReader(execution)
    try:
        read_bundle(stream, folder)
    except MalformedBodyError:
        stream.read()
        check(execution)
        raise
    stream.read()
    check(execution)


def _check_free(path: Path) -> None:
    if path.name in ("", ".."):  # it cannot be replaced in one step by another folder
        raise InputError(f"{path} names no new folder; name another DIR, such as {path / 'run'}")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} is there and not empty; name another DIR, or move it away")


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A folder on the same disk that takes the place of ``path`` in one step; removed if it does not come to that.

    Raises:
        InputError: it, or what is put into it, cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; make room, or name another DIR") from None
