"""What `adql k8s` asks for inside the parameter server's own container: how the run stands, and its files.

Under compose a container beside it asks, for the files with summary and report.

Asked there, no token leaves the cluster, and nothing has to be opened: who may `kubectl exec` may look.
"""

import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from adql.bundle import Part, write_bundle
from adql.config import ParameterServerSettings, load_specification
from adql.errors import AdqlError, InputError, RunFailedError
from adql.parameters.checkpoints import newest_file
from adql.wire import routes
from adql.wire.connection import Connection
from adql_services.runtime.worker import client_token

STATUS = "status.json"
"""What ``status`` returns, in the bundle."""
LINES = ("progress.csv", "episodes.csv", "evaluations.csv")
"""Files that grow line by line; a line that is on its way is left out."""
FILES = ("run.yaml", *LINES, "activity.json", "policy-best.safetensors", "policy-last.safetensors", "watermark")
START = "`docker compose up --detach --wait parameter-server`"
TIMEOUT_SECONDS = 10.0
MAX_TRIES = 5
Tree = dict[str, Any]


def status(settings: ParameterServerSettings) -> Tree:
    """Returns the run as its server tells it, and every evaluation.

    Raises:
        RunFailedError: the server does not answer.
    """
    address = settings.listen.replace("//0.0.0.0:", "//127.0.0.1:")
    try:
        with Connection(address, token=client_token(settings), timeout_seconds=TIMEOUT_SECONDS) as server:
            run = json.loads(bytes(server.request("GET", routes.RUN).body))
            evaluations = json.loads(bytes(server.request("GET", routes.EVALUATIONS).body))
    except AdqlError as error:
        raise RunFailedError(f"the parameter server does not tell of its run: {error}; see its log") from None
    return {"run": run, "evaluations": evaluations}


def export(settings: ParameterServerSettings, out: BinaryIO) -> None:
    """Writes the run's files to ``out``, as they were at one moment, and its status then.

    Raises:
        RunFailedError: the server does not answer.
    """
    with ExitStack() as stack:
        told, parts = _at_one_moment(settings, stack)
        write_bundle(out, [Part.of(STATUS, json.dumps(told).encode()), *parts])


def folder(
    settings: ParameterServerSettings, out: BinaryIO, complete: Callable[[Path, Tree, list[Tree], None], str]
) -> None:
    """Writes the folder that `adql train` makes to ``out``, as a tar archive; ``complete`` adds summary and report.

    Raises:
        RunFailedError: the server does not answer.
        InputError: it trains another run than that of the directory.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        try:
            told, parts = _at_one_moment(settings, stack)
        except RunFailedError as error:
            raise RunFailedError(f"{error}; one that was stopped: {START}") from None
        _check_same_run(settings.directory, told["run"]["name"])
        for part in parts:
            path = Path(name, part.name)
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(part.file, file)
                file.truncate(part.size)
        complete(Path(name), told["run"], told["evaluations"], None)
        with tarfile.open(fileobj=out, mode="w|") as tar:
            tar.add(name, arcname=".", filter=_of_whoever_unpacks)


def _check_same_run(directory: Path, name: str) -> None:
    file = directory / "run.yaml"
    if not file.exists() or load_specification(file, environ={}).run.name != name:
        raise InputError(f"{directory} is not of the run {name!r} that the parameter server has; set ADQL_RUN={name}")


def _of_whoever_unpacks(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _at_one_moment(settings: ParameterServerSettings, stack: ExitStack) -> tuple[Tree, list[Part]]:
    """Files are replaced whole, so that what is open stays as it is; opened again if an evaluation came between."""
    told = status(settings)
    for _ in range(MAX_TRIES):
        with ExitStack() as opening:
            parts = list(_opened(settings.directory, opening))
            again = status(settings)
            if again["run"]["evaluations"]["reported"] == told["run"]["evaluations"]["reported"]:
                stack.enter_context(opening.pop_all())
                return again, parts
        told = again
    raise RunFailedError(f"evaluations were reported faster than files are opened, {MAX_TRIES} times; try again")


def _opened(directory: Path, stack: ExitStack) -> Iterator[Part]:
    for name in FILES:
        if (directory / name).exists():
            file = stack.enter_context((directory / name).open("rb"))
            yield Part(name, file, _whole_lines(file) if name in LINES else _size(file))
    if (checkpoint := newest_file(directory / "checkpoints")) is not None:
        file = stack.enter_context(checkpoint.open("rb"))
        yield Part(f"checkpoints/{checkpoint.name}", file, _size(file))


def _size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _whole_lines(file: BinaryIO) -> int:
    size = _size(file)
    start = max(0, size - 65_536)
    file.seek(start)
    end = start + file.read(size - start).rfind(b"\n") + 1
    file.seek(0)
    return end
