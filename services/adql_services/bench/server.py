"""``adql bench server``: how many updates a parameter server takes, and what each costs."""

import contextlib
import json
import re
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adql.agent.environments import resolve
from adql.config import RunSpecification, config_hash, load_specification
from adql.encodings import to_wire
from adql.errors import InputError
from adql.parameters.initial import manifest_of
from adql.parameters.sessions import MAX_SESSIONS
from adql.parameters.size import state_bytes
from adql.types import ArraySpec, Float32Array
from adql.wire import routes
from adql.wire.connection import Connection
from adql_services.bench.clients import Target
from adql_services.bench.load import Load, Tally
from adql_services.bench.running import Server, running_server
from adql_services.bench.store_watch import StoreWatch
from adql_services.local.cpu import own_cpu_seconds
from adql_services.local.memory import check_memory

UNITS = {"KB": 10**3, "MB": 10**6}
MIN_BYTES, MAX_BYTES = 10_000, 500_000_000
"""Of the parameters."""
MAX_SECONDS = 3_600.0
WARM_UP_SECONDS = 1.0
FILES_BESIDE = 64
"""Open files that are no client's."""
ENDLESS = ("training.environment_steps=1000000000000",)
"""No budget ends the run, whatever is pushed."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured."""

    clients: int
    size: str
    seconds: float
    durable: bool
    rate: float | None
    """Pushes a second of all clients; None: each pushes again as soon as it is answered."""
    transport: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of the processes at one moment; differences are what a stretch cost."""

    server_cpu: float
    store_cpu: float
    generator_cpu: float
    store_bytes: int
    version: int
    commits: int
    commit_seconds: float
    rewrites: int


def bench_server(case: Case, assignments: Sequence[str]) -> int:
    """Prints one JSON line for ``case``; ``assignments`` are keys of the run specification. Returns 0.

    Raises:
        InputError, ConfigError: a number is out of its bounds.
        RunFailedError: the server or its store does not do its work.
    """
    specification = specification_for(case, assignments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # through every finally
    with tempfile.TemporaryDirectory(prefix="adql-bench-") as folder:
        record = measured(case, specification, Path(folder))
    sys.stdout.write(json.dumps(record) + "\n")
    return 0


def specification_for(case: Case, assignments: Sequence[str]) -> RunSpecification:
    """Returns a run with parameters of about ``case.size``, after all of ``case`` was checked.

    Raises:
        InputError, ConfigError: a number is out of its bounds.
    """
    check(case)
    loaded = load_specification(None, [*ENDLESS, *assignments])
    loaded = loaded.model_copy(update={"environment": resolve(loaded.environment)})
    width = _width(loaded, parse_size(case.size))
    network = loaded.network.model_copy(update={"hidden": (width, width)})
    specification = loaded.model_copy(update={"network": network})
    check_memory(specification)
    return specification


def check(case: Case) -> None:
    """Lets numbers pass that a measurement can be made with.

    Raises:
        InputError: it names the number, its bound and the way out.
    """
    files = _open_files() - FILES_BESIDE
    _check_bounds("--clients", case.clients, 1, MAX_SESSIONS)
    if case.clients > files:
        raise InputError(
            f"--clients {case.clients}: at most {files} while a process may open {files + FILES_BESIDE} files; "
            f"`ulimit -n {case.clients + FILES_BESIDE}`, or give fewer"
        )
    _check_bounds("--seconds", case.seconds, 0.1, MAX_SECONDS)
    _check_bounds(f"--size {case.size}, in bytes:", parse_size(case.size), MIN_BYTES, MAX_BYTES)
    if case.rate is not None:
        least = case.clients / 10
        _check_bounds("--rate", case.rate, least, 1e6, f", so that none of {case.clients} sessions is silent for long")


def parse_size(text: str) -> int:
    """Returns the bytes that ``text`` names, as 270KB or 7MB.

    Raises:
        InputError: it names none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(KB|MB)", text)
    if not found:
        raise InputError(f"--size {text}: must be a number with KB or MB, such as 270KB or 7MB")
    return round(float(found[1]) * UNITS[found[2]])


def measured(case: Case, specification: RunSpecification, folder: Path) -> dict[str, Any]:
    """Returns the record of one case, with the run's files in ``folder``."""
    with running_server(specification, case.transport, folder) as server:
        store = StoreWatch(server.store, folder / "store")
        with _connected(case, specification, server) as load:
            load.register()
            load.begin()
            load.run(WARM_UP_SECONDS, store.look)
            before = _read(server, store, load)
            tally = load.run(case.seconds, store.look)
            after = _read(server, store, load)
    return {
        "case": "server",
        "transport": case.transport,
        "clients": case.clients,
        "bytes": 4 * _size(specification),
        "state_bytes": state_bytes(specification),
        "rule": specification.update.rule,
        "durable": case.durable,
        "rate": case.rate,
        **_figures(tally, before, after),
        "store_peak_bytes": store.peak_bytes,
    }


@contextlib.contextmanager
def _connected(case: Case, specification: RunSpecification, server: Server) -> Iterator[Load]:
    vector = to_wire(_pulled(server, specification), specification.update.encoding)
    run, token = specification.run.name, server.token()
    load = Load(
        Target(server.address, token, run, config_hash(specification), vector, case.durable), case.clients, case.rate
    )
    with contextlib.closing(load):
        yield load


def _pulled(server: Server, specification: RunSpecification) -> Float32Array:
    """Returns the run's first parameters: as an update they keep every rule within its bounds."""
    spec = ArraySpec("parameters", (_size(specification),), specification.update.encoding)
    with Connection(server.address, token=server.token) as connection:
        return connection.request("GET", routes.PARAMETERS).message([spec]).arrays["parameters"].copy()


def _read(server: Server, store: StoreWatch, load: Load) -> Reading:
    return Reading(
        server.cpu_seconds(),
        store.cpu_seconds(),
        own_cpu_seconds(),
        store.bytes_written(),
        load.state.version.number,
        *server.commits(),
        store.rewrites(),
    )


def _figures(tally: Tally, before: Reading, after: Reading) -> dict[str, Any]:
    updates, seconds = after.version - before.version, tally.seconds
    each = 1.0 / max(1, updates)
    commits = after.commits - before.commits
    return {
        "seconds": round(seconds, 2),
        "updates_per_second": round(updates / seconds, 1),
        **_quantiles(tally.latencies),
        "server_cpu_ms": round((after.server_cpu - before.server_cpu) * each * 1e3, 3),
        "store_cpu_ms": round((after.store_cpu - before.store_cpu) * each * 1e3, 3),
        "store_bytes": round((after.store_bytes - before.store_bytes) * each),
        "behind_seconds": round(tally.behind, 3),
        "commits_per_second": round(commits / seconds, 2),
        "commit_ms": round((after.commit_seconds - before.commit_seconds) / max(1, commits) * 1e3, 2),
        "errors": sum(tally.errors.values()),
        "errors_by_kind": dict(tally.errors),
        "server_cores": round((after.server_cpu - before.server_cpu) / seconds, 2),
        "store_cores": round((after.store_cpu - before.store_cpu) / seconds, 2),
        "generator_cores": round((after.generator_cpu - before.generator_cpu) / seconds, 2),
        "rewrites": after.rewrites - before.rewrites,
    }


def _quantiles(latencies: Sequence[float]) -> dict[str, float | None]:
    if len(latencies) < 2:
        return {"p50_ms": None, "p99_ms": None}
    cuts = statistics.quantiles(latencies, n=100)
    return {"p50_ms": round(cuts[49] * 1e3, 3), "p99_ms": round(cuts[98] * 1e3, 3)}


def _size(specification: RunSpecification) -> int:
    return manifest_of(specification.network, specification.signature).size


def _width(specification: RunSpecification, wanted: int) -> int:
    """Returns the width of two hidden layers whose parameters have ``wanted`` bytes, or a little less."""

    def size(width: int) -> int:
        network = specification.network.model_copy(update={"hidden": (width, width)})
        return 4 * manifest_of(network, specification.signature).size

    low, high = 1, 20_000
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= wanted else (low, middle)
    return low


def _check_bounds(name: str, value: float, least: float, most: float, why: str = "") -> None:
    if not least <= value <= most:
        raise InputError(f"{name} {value:g}: must be from {least:g} to {most:g}{why}; give another number")


def _open_files() -> int:
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if limit >= 0 else MAX_SESSIONS + FILES_BESIDE
