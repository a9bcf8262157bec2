"""Measures ``docker compose up`` without Grafana; one JSON line: ``python -m tests.cluster.figures_compose TAG``.

Seconds from the command to the first update and to the goal, with images that are there; then, container by container,
the percent of a core and the memory in MiB, checks included, while it trains and while it rests.
"""

import json
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.cluster.commands import run
from tests.cluster.stack import Stack, new_stack

TRAINING_SECONDS, IDLE_SECONDS, GOAL_SECONDS = 8.0, 60.0, 600
_USAGE = """
cd /sys/fs/cgroup
if [ -e cpu.stat ]; then
  awk '/^usage_usec/ {print $2 / 1e6}' cpu.stat; awk '/^anon / {print $2}' memory.stat
else
  awk '{print $1 / 1e9}' cpuacct/cpuacct.usage; awk '/^total_rss / {print $2}' memory/memory.stat
fi
"""
"""Seconds of processor time, and bytes of memory that are no cache, under either version of cgroups."""


def used(stack: Stack) -> dict[str, tuple[float, float]]:
    """Returns seconds of processor time and MiB of each container that runs."""
    usage = {}
    for container in stack.containers():
        if container["State"]["Running"]:
            seconds, memory = run("docker", "exec", container["Id"], "sh", "-c", _USAGE).split()
            usage[container["Name"].removeprefix(f"/{stack.project}-")] = float(seconds), float(memory) / 2**20
    return usage


def over(stack: Stack, seconds: float) -> dict[str, dict[str, float]]:
    """Returns what each container uses on average within the next ``seconds``."""
    start, before = time.monotonic(), used(stack)
    time.sleep(seconds)
    after, elapsed = used(stack), time.monotonic() - start
    return {
        name: {"core_percent": round(100 * (after[name][0] - cpu) / elapsed, 2), "MiB": round(after[name][1], 1)}
        for name, (cpu, _) in before.items()
    }


def when(stack: Stack, status: str) -> float:
    """Returns when the parameter server said that the run has ``status``."""
    (said, *_) = [
        line for line in stack("logs", "--no-log-prefix", "parameter-server").splitlines() if f"status={status}" in line
    ]
    return datetime.fromisoformat(said.split()[0]).timestamp()


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as directory, new_stack(Path(directory), sys.argv[1]) as stack:
        begun = time.time()
        stack("up", "--detach")
        up = time.time()
        stack.wait_until(lambda: stack.about_the_run()["updates"]["applied"] > 0, 60)
        training = over(stack, TRAINING_SECONDS)
        stack.wait_until(lambda: stack.about_the_run()["state"]["status"] == "reached", GOAL_SECONDS)
        figures = {
            "up_seconds": round(up - begun, 1),
            "first_update_seconds": round(when(stack, "running") - begun, 1),
            "goal_seconds": round(when(stack, "reached") - begun, 1),
            "training": training,
            "idle": over(stack, IDLE_SECONDS),
        }
        stopped = time.monotonic()
        stack("stop")
        figures |= {"stop_seconds": round(time.monotonic() - stopped, 1), "load": os.getloadavg()[1]}
    sys.stdout.write(f"{json.dumps(figures)}\n")


if __name__ == "__main__":
    main()
