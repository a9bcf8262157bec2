"""ADQL with all its services: ``python -m tests.bench.peers.adql_run TASK SEED``; prints its outcome.

``adql train`` with two learners, as a user starts it. The clock runs from the first environment step, evaluations and
all processes with the store counted, until the second evaluation in a row over the goal is reported; the run goes on to
the confirmation on 100 fresh episodes, which is told beside it.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from adql.parameters.course import read_moments
from adql_services.local.history import read_evaluations
from adql_services.local.run_directory import RunDirectory
from tests.bench.peers.race import Evaluation, Outcome, is_reached
from tests.bench.peers.tasks import TASKS, Task

LEARNERS = 2
BUDGET = 10_000_000
"""Environment steps: more than any race takes."""
POLL_SECONDS = 0.1
START_SECONDS = 60.0
"""A run that has not begun by then never will."""


@dataclass(slots=True)
class Cost:
    """CPU seconds and resident memory of a process and all below it; ended ones keep what they had."""

    root: psutil.Process
    _seconds: dict[int, float] = field(default_factory=dict)
    peak_megabytes: float = 0.0

    def look(self) -> float:
        """Returns the CPU seconds so far."""
        resident = 0
        for process in (self.root, *self.root.children(recursive=True)):
            try:
                times, memory = process.cpu_times(), process.memory_info()
            except psutil.NoSuchProcess:
                continue
            self._seconds[process.pid] = times.user + times.system
            resident += memory.rss
        self.peak_megabytes = max(self.peak_megabytes, resident / 1e6)
        return sum(self._seconds.values())


class Watched:
    """One training under way, looked at from outside."""

    def __init__(self, task: Task, directory: RunDirectory, process: psutil.Process) -> None:
        self._task, self._directory, self._cost = task, directory, Cost(process)
        self._start: float | None = None
        self._cpu_before = self._cpu_now = 0.0
        self.curve: list[Evaluation] = []
        self.reached_at: tuple[float, float] | None = None
        """Wall and CPU seconds of training."""

    @property
    def wall_seconds(self) -> float:
        """Of training so far."""
        return 0.0 if self._start is None else time.time() - self._start

    @property
    def cpu_seconds(self) -> float:
        """Of training so far, as of the last look."""
        return self._cpu_now - self._cpu_before

    @property
    def peak_megabytes(self) -> float:
        """Of all processes together."""
        return self._cost.peak_megabytes

    def look(self) -> None:
        """Takes the time of what is new."""
        self._cpu_now = self._cost.look()
        if self._start is None:
            moments = read_moments(self._directory.progress)
            if not moments:
                self._cpu_before = self._cpu_now
                return
            self._start = moments[0].unix_seconds - moments[0].wall_seconds
        for one in read_evaluations(self._directory.evaluations)[len(self.curve) :]:
            if one.purpose == "periodic":
                self.curve.append(Evaluation(round(self.wall_seconds, 3), one.environment_steps, one.mean))
                self._judge()

    def _judge(self) -> None:
        if self.reached_at is None and is_reached(self._task, self.curve):
            self.reached_at = self.wall_seconds, self.cpu_seconds


def race(name: str, seed: int, folder: Path) -> Outcome:
    """Trains in ``folder`` until the goal is confirmed or the time is up."""
    task, directory = TASKS[name], RunDirectory(folder / "run")
    words = [*task.adql, *_environment(task), "--learners", str(LEARNERS), "--seed", str(seed)]
    command = [sys.executable, "-m", "adql_services", "train", *words, "--steps", str(BUDGET)]
    command += ["--output", str(directory.path)]
    if task.goal is not None:
        command += [f"training.goal={task.goal}"]
    with subprocess.Popen(command, stderr=(folder / "log").open("w")) as process:
        watched, started = Watched(task, directory, psutil.Process(process.pid)), time.monotonic()
        while process.poll() is None:
            watched.look()
            late = watched.wall_seconds > task.seconds or (
                not watched.wall_seconds and time.monotonic() - started > START_SECONDS
            )
            if late:
                process.send_signal(signal.SIGINT)
                process.wait()
            time.sleep(POLL_SECONDS)
    return _outcome(name, seed, folder, watched)


def _environment(task: Task) -> list[str]:
    if task.module is None:
        return ["--env", task.environment]
    return ["--env", f"{task.module}:{task.environment}", f"environment.allow=[{task.module}]"]


def _outcome(name: str, seed: int, folder: Path, watched: Watched) -> Outcome:
    summary_file = folder / "run" / "summary.json"
    assert summary_file.exists(), (folder / "log").read_text()
    summary = msgspec.json.decode(summary_file.read_bytes())
    wall, cpu = watched.reached_at or (summary["wall_seconds"], summary["cpu_seconds"])
    return Outcome(
        name,
        "adql",
        seed,
        watched.reached_at is not None,
        round(wall, 3),
        round(cpu, 3),
        summary["environment_steps"],
        summary["learner_steps"],
        round(watched.peak_megabytes, 1),
        watched.curve,
        confirmed_seconds=summary["wall_seconds"] if summary["reached"] else None,
    )


def main() -> None:
    """Races and prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = race(options.task, options.seed, Path(folder))
    sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")


if __name__ == "__main__":
    main()
