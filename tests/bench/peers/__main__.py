"""ADQL beside its peers: ``python -m tests.bench.peers [--tasks …] [--competitors …] [--seeds …] [--results FILE]``.

Every competitor races each task with each seed, in a process of its own and in turn, so that a machine that is busy
for a while is busy for all of them. Each race adds one line of JSON to FILE; one that is in it already is not run
again, so that whatever stopped can be started again.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.bench.peers.race import Outcome
from tests.bench.peers.tasks import TASKS

COMPETITORS = ("adql", "sbx", "sb3", "single_file")
SEEDS = (601, 602, 603, 604, 605)
"""Never used while anything was tuned."""
RESULTS = Path("docs/results/peers.jsonl")
THREADS = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
"""Two computing threads halve the speed of a small update."""

Race = tuple[str, str, int]


def read_outcomes(path: Path) -> list[Outcome]:
    """Returns the races that are in a file of results."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Outcome) for line in lines]


def races(tasks: Sequence[str], competitors: Sequence[str], seeds: Sequence[int]) -> Iterator[Race]:
    """Yields task, competitor and seed; all competitors of a task and a seed before the next seed."""
    for name in tasks:
        task = TASKS[name]
        takes_part = {
            "sb3": task.zoo or task.published,
            "sbx": task.zoo,
            "single_file": task.single_file,
            "adql": task.adql,
        }
        for seed in seeds:
            yield from ((name, one, seed) for one in competitors if takes_part[one] is not None)


def run(race: Race) -> Outcome:
    """Runs one race in a process of its own."""
    name, competitor, seed = race
    programs = {
        "adql": ["adql_run"],
        "single_file": ["single_file"],
        **{library: ["stable_baselines", library] for library in ("sb3", "sbx")},
    }
    program, *arguments = programs[competitor]
    command = [sys.executable, "-m", f"tests.bench.peers.{program}", *arguments, name, str(seed)]
    load = os.getloadavg()[0]
    done = subprocess.run(command, env={**os.environ, **THREADS}, stdout=subprocess.PIPE, check=True)
    outcome = msgspec.json.decode(done.stdout.splitlines()[-1], type=Outcome)
    return msgspec.structs.replace(outcome, load=round(load, 2))


def main() -> None:
    """Runs the races that are missing in the results, and prints each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--competitors", nargs="+", choices=COMPETITORS, default=COMPETITORS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    known = {(one.task, one.competitor, one.seed) for one in read_outcomes(options.results)}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for race in races(options.tasks, options.competitors, options.seeds):
        if race in known:
            continue
        line = msgspec.json.encode(run(race)).decode()
        with options.results.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
