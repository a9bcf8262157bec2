"""What the wire costs: one JSON line a case, ``python -m tests.bench.bench_wire [--rounds N]``.

A real ``adql parameter-server`` with its token and its embedded store, as ``adql train`` starts it, and a real client:
a registered session whose pushes are numbered, applied and answered by the new parameters, while the server commits at
its default pace. Raw sockets and ADQL are timed in the same rounds, in an order that changes each round: who comes
after 7 MB finds cold caches, and a server that slept has to be woken.

``nothing_newer``: a conditional GET answered by 304; ``raw_ask``: a byte there and a byte back. ``pull``: a version
that this client has not seen, encoded for the first time; ``pull_again``: one that was pulled before. ``push``: 7 MB
there, 7 MB of new parameters back; ``push_answered``: the same pushes up to the first byte of their answer, so that
everything is done but the way back. Raw sockets move the bytes of float32, whatever the encoding. ``times_raw`` divides
by the raw pull or the raw push of the same rounds, ``times_raw_both`` by their sum. ``in_a_row_ms`` has the same case
before it. ``server_cpu_ms`` is of the server's event loop, without the threads that apply and commit.
"""

import argparse
import contextlib
import json
import random
import select
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from adql.agent.environments import resolve
from adql.agent.merging import make_merge
from adql.config import RunSpecification, config_hash, load_specification
from adql.encodings import to_wire
from adql.types import PushAnswer, Version
from adql.wire.parameter_client import ParameterClient
from adql_services.bench.running import Server, running_server
from adql_services.parameter_server.opening import manifest
from tests.bench.raw_sockets import raw_cases

BULK = ("raw_pull", "raw_push")
ENCODINGS = ("float32", "float16", "bfloat16")
WARM_UP_ROUNDS = 5
PAUSE_SECONDS = 0.002
"""Long enough for the server to fall asleep: only then does Linux know what it has used."""
LEARNER_STEPS, ENVIRONMENT_STEPS = 8, 32
"""Of one push, as by default."""
Times = dict[str, list[float]]


def specification(encoding: str) -> RunSpecification:
    """The default run with 7 MB of parameters."""
    loaded = load_specification(None, ["network.hidden=[1320,1320]", f"update.encoding={encoding}"], {})
    return loaded.model_copy(update={"environment": resolve(loaded.environment)})


class Learner:
    """What a learner does with the parameter server, and how long that takes."""

    def __init__(self, run: RunSpecification, server: Server) -> None:
        self._client = ParameterClient(
            server.address,
            token=server.token,
            run=run.run.name,
            config_hash=config_hash(run),
            size=manifest(run).size,
            encoding=run.update.encoding,
            clock=time.monotonic,
            sleep=time.sleep,
            rng=random.Random(0),
        )
        self._encoding = run.update.encoding
        self._rule = make_merge(run.update)
        self._base = self._client.register()
        self._before = Version(0, 0)
        self._local = self._base.vector.copy()
        self._pushes, self._pulled = 0, self._base.version
        self._answer: PushAnswer | None = None
        self.answered_ms = 0.0
        """Of the last push, up to the first byte of its answer."""

    def actions(self) -> dict[str, Callable[[], str]]:
        """Returns what is timed; each returns the name of the case that it was."""
        actions = {"nothing_newer": self._ask, "pull": self._pull, "push": self._push}
        return actions if self._encoding == "float32" else actions | {"cast": self._cast}

    def merge(self) -> None:
        """Does, untimed, what a learner does with the answer to its push."""
        if self._answer is not None:
            self._rule.merge(self._local, self._base.vector, self._sent, self._answer.parameters.vector)
            self._before, self._base, self._answer = self._base.version, self._answer.parameters, None

    def close(self) -> None:
        """Ends the session."""
        self._client.close()

    def _ask(self) -> str:
        assert self._client.pull(self._base.version) is None
        return "nothing_newer"

    def _pull(self) -> str:
        parameters = self._client.pull(self._before)
        assert parameters is not None and parameters.version == self._base.version
        before, self._pulled = self._pulled, parameters.version
        return "pull_again" if before == parameters.version else "pull"

    def _push(self) -> str:
        start, self._pushes = time.perf_counter(), self._pushes + 1
        steps = ENVIRONMENT_STEPS * self._pushes
        self._sent = self._client.begin_push(self._local, self._base.version, LEARNER_STEPS, steps)
        pushing = self._client._pushing._socket
        assert pushing is not None
        select.select([pushing], [], [])
        self.answered_ms = (time.perf_counter() - start) * 1e3
        self._answer = self._client.finish_push()
        assert self._answer.outcome == "applied"
        return "push"

    def _cast(self) -> str:
        to_wire(self._local, self._encoding)
        return "cast"


def timed(action: Callable[[], object]) -> tuple[str, float]:
    """Returns the name of the case and its milliseconds."""
    start = time.perf_counter()
    name = action()
    return str(name), (time.perf_counter() - start) * 1e3


def interleaved(raw: dict[str, Callable[[], object]], learner: Learner, rounds: int) -> Times:
    """Times every case once a round, in an order of its own each round."""
    times: Times = defaultdict(list)
    cases = [*((name, action) for name, action in raw.items()), *((None, a) for a in learner.actions().values())]
    shuffle = random.Random(0).shuffle
    for number in range(WARM_UP_ROUNDS + rounds):
        if number == WARM_UP_ROUNDS:
            times.clear()
        shuffle(cases)
        for name, action in cases:
            case, milliseconds = timed(action)
            times[name or case].append(milliseconds)
            if case == "push":
                times["push_answered"].append(learner.answered_ms)
            learner.merge()
    return times


def in_a_row(learner: Learner, rounds: int) -> dict[str, float]:
    """Returns the median milliseconds of a case after itself; a merge lies between two pushes."""
    medians = {}
    for name, action in learner.actions().items():
        times = []
        for _ in range(rounds):
            times.append(timed(action)[1])
            learner.merge()
        medians["pull_again" if name == "pull" else name] = statistics.median(times)
    return medians


def server_cpu(learner: Learner, server: Server, rounds: int) -> dict[str, float]:
    """Returns the median milliseconds of CPU that the server's event loop needs for a case."""
    used: Times = defaultdict(list)
    for _ in range(rounds):
        for action in (learner.actions()[name] for name in ("nothing_newer", "push", "pull", "pull")):
            before = server.event_loop_milliseconds()
            case = action()
            learner.merge()
            time.sleep(PAUSE_SECONDS)
            used[case].append(server.event_loop_milliseconds() - before)
    return {case: statistics.median(values) for case, values in used.items()}


def measure(kind: str, encoding: str, rounds: int) -> Iterator[dict[str, object]]:
    """Yields one record a case of one server."""
    run = specification(encoding)
    size = 4 * manifest(run).size
    with tempfile.TemporaryDirectory() as folder, running_server(run, kind, Path(folder)) as server:
        with raw_cases(kind, folder, size) as raw, contextlib.closing(Learner(run, server)) as learner:
            start, cpu, before = time.monotonic(), server.cpu_seconds(), server.commits()
            times = interleaved(raw, learner, rounds)
            seconds, cpu, after = time.monotonic() - start, server.cpu_seconds() - cpu, server.commits()
            more = {"in_a_row_ms": in_a_row(learner, rounds), "server_cpu_ms": server_cpu(learner, server, rounds // 2)}
    shared: dict[str, object] = {"socket": kind, "encoding": encoding}
    for case, values in sorted(times.items()):
        own = {name: round(found[case], 3) for name, found in more.items() if case in found}
        yield {"case": case, **shared, **statistics_of(values), **ratios(case, times), **own}
    commits = after[0] - before[0]
    yield {
        "case": "commits meanwhile",
        **shared,
        "count": commits,
        "seconds": round(seconds, 1),
        "mean_ms": round((after[1] - before[1]) / max(1, commits) * 1e3, 1),
        "server_cpu_seconds": round(cpu, 2),
        "bytes": size,
    }


def statistics_of(values: list[float]) -> dict[str, object]:
    """Returns what is printed of one case's times."""
    return {
        "rounds": len(values),
        "median_ms": round(statistics.median(values), 3),
        "least_ms": round(min(values), 3),
        "p90_ms": round(statistics.quantiles(values, n=10)[-1], 3),
    }


def ratios(case: str, times: Times) -> dict[str, object]:
    """Returns a case's medians over those of the raw sockets; nothing for what moves no parameters."""
    operation = case.partition("_")[0]
    if case.startswith("raw") or f"raw_{operation}" not in times:
        return {}
    median, raw = statistics.median(times[case]), {name: statistics.median(times[name]) for name in BULK}
    both = {"times_raw_both": round(median / sum(raw.values()), 2)} if case == "push" else {}
    return {"times_raw": round(median / raw[f"raw_{operation}"], 2), **both}


def main() -> None:
    """Prints the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    for kind in ("tcp", "unix"):
        for encoding in ENCODINGS:
            for record in measure(kind, encoding, rounds):
                print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
