"""What an idle run costs: one JSON line a process, ``python -m tests.bench.bench_footprint [--seconds N]``.

All services of a local run are started; the budget is soon spent, and then everybody waits for a new status.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from adql.agent.environments import resolve
from adql.config import RunSpecification, load_specification
from adql_services.local.addresses import Rendezvous
from adql_services.local.fleet import Fleet
from adql_services.local.run_directory import RunDirectory
from adql_services.local.store import LocalStore
from adql_services.local.watch import Observation, Watch
from tests.waiting import wait_until


def specification() -> RunSpecification:
    """The default run, over after 3,000 environment steps."""
    loaded = load_specification(None, ["training.environment_steps=3000"], {})
    return loaded.model_copy(update={"environment": resolve(loaded.environment)})


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def is_over(seen: Observation) -> bool:
    """Whether the budget is spent and its last evaluation is in."""
    return seen.status == "budget" and seen.is_evaluated


def measure(pids: dict[str, int], seconds: float) -> None:
    """Prints share of a core and resident memory of each process."""
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    for name, pid in pids.items():
        share = (cpu_seconds(pid) - before[name]) / seconds
        memory = psutil.Process(pid).memory_info().rss / 1e6
        print(json.dumps({"case": f"idle {name}", "core_percent": round(100 * share, 2), "rss_mb": round(memory, 1)}))


def time_help() -> None:
    """Prints how long ``adql --help`` takes."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "adql_services.cli", "--help"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"case": "adql --help", "seconds": round(sorted(seconds)[2], 3)}))


def main() -> None:
    """Starts everything, waits until the run is over, measures, ends everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    time_help()
    with tempfile.TemporaryDirectory() as folder:
        spec, rendezvous, store = specification(), Rendezvous(), LocalStore(Path(folder) / "store")
        directory = RunDirectory.create(Path(folder) / "run", spec, ["bench"])
        store.start()
        children = Fleet(spec, directory, rendezvous, store.url).children()
        try:
            for child in children:
                child.start()
            watch = Watch(rendezvous, directory.episodes)
            wait_until(lambda: is_over(watch.look()), what=lambda: "the run is not over")
            pids = {child.name: child.pid for child in children} | {"store": store.pid}
            measure({name: pid for name, pid in pids.items() if pid is not None}, options.seconds)
        finally:
            for child in children:
                child.send(15)
            for child in children:
                child.wait(15)
            store.close()
            rendezvous.remove()


if __name__ == "__main__":
    main()
