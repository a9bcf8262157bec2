"""``adql train``: one run from its first process to its summary."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType

import psutil

from adql.config import ParameterServerSettings, RunSpecification, load_settings
from adql_services.local.addresses import Rendezvous
from adql_services.local.fleet import EVALUATOR, Fleet
from adql_services.local.processes import Supervisor
from adql_services.local.progress import ProgressLog
from adql_services.local.run_directory import RunDirectory, new_path
from adql_services.local.store import LocalStore
from adql_services.local.summary import make_summary, write_summary
from adql_services.local.watch import Observation, Watch

POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0
LAST_EVALUATION_SECONDS = 120.0
"""How long a run at the end of its budget waits for its last evaluation."""


def train(specification: RunSpecification, output: Path | None, arguments: Sequence[str]) -> int:
    """Trains in a new folder; ``specification`` has its signature. Returns 0: goal, budget, or asked to end."""
    path = output or new_path(specification, datetime.now())
    directory = RunDirectory.create(path, specification, arguments)
    directory.lock()
    return LocalRun(specification, directory).run()


class LocalRun:
    """The processes of one run, from start to end."""

    def __init__(self, specification: RunSpecification, directory: RunDirectory) -> None:
        self._specification, self._directory = specification, directory
        self._log = ProgressLog(specification, sys.stderr, time.monotonic)
        self._supervisor = Supervisor(self._log.say)
        self._interrupted = False
        self._meter = Meter(self._cpu_seconds)
        self._store: LocalStore | None = None

    def run(self) -> int:
        """Runs until goal, budget or a signal; writes the summary."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        rendezvous = Rendezvous()
        try:
            self._start(rendezvous)
            watch = Watch(rendezvous)
            observation = self._watch(watch)
            self._stop_learning()
            self._finish(watch.look() if observation.run else observation)
        finally:
            self._stop_everything()
            rendezvous.remove()
        return 0

    def _start(self, rendezvous: Rendezvous) -> None:
        redis_url = self._redis_url()
        fleet = Fleet(self._specification, self._directory, rendezvous, redis_url)
        children = fleet.children()
        self._log.say(f"{self._directory.path}: starting {', '.join(child.name for child in children)} and store")
        for child in children:
            self._supervisor.start(child)

    def _redis_url(self) -> str:
        """The store that ADQL_REDIS_URL names, else an embedded one."""
        settings = load_settings(ParameterServerSettings)
        if "redis_url" in settings.model_fields_set:
            return settings.redis_url
        self._store = LocalStore(self._directory.store)
        self._store.start()
        return self._store.url

    def _watch(self, watch: Watch) -> Observation:
        """Looks at the run until it is over; dead processes come back meanwhile."""
        observation, deadline = Observation(), None
        while not self._interrupted:
            self._supervisor.check()
            self._revive_store()
            observation = watch.look()
            self._meter.look(observation)
            self._log.show(observation)
            if observation.status == "budget":
                deadline = deadline or time.monotonic() + LAST_EVALUATION_SECONDS
            if _is_over(observation, deadline):
                break
            time.sleep(POLL_SECONDS)
        return observation

    def _revive_store(self) -> None:
        if self._store is not None and self._store.exit_code is not None:
            self._log.say(f"store ended with code {self._store.exit_code}; starting it again")
            self._store.start()

    def _stop_learning(self) -> None:
        self._meter.stop()
        learners = [name for name in self._supervisor.children if name.startswith("learner-")]
        self._supervisor.stop([*learners, EVALUATOR], GRACE_SECONDS)

    def _finish(self, observation: Observation) -> None:
        summary = make_summary(
            self._specification,
            observation,
            self._meter.wall_seconds,
            self._meter.cpu_seconds,
            self._supervisor.restarts,
        )
        write_summary(summary, self._directory.summary)
        outcome = "stopped" if self._interrupted else observation.status
        result = summary["evaluation"]
        said = (
            f"greedy mean return {result['mean_return']:.1f} over {result['episodes']} episodes"
            if result
            else "no evaluation"
        )
        self._log.say(
            f"{outcome}: {said}; {summary['wall_seconds']:.1f} s, {summary['cpu_seconds']:.1f} CPU-s, "
            f"{summary['environment_steps']} environment steps, {summary['learner_steps']} learner steps"
        )
        self._log.say(f"results in {self._directory.path}")

    def _stop_everything(self) -> None:
        self._supervisor.stop(list(self._supervisor.children), GRACE_SECONDS)
        if self._store is not None:
            self._store.remove_socket()

    def _cpu_seconds(self) -> float:
        """Of all processes of the run, this one and the store included."""
        children = sum(child.cpu_seconds() for child in self._supervisor.children.values())
        return children + _process_cpu(os.getpid()) + (_process_cpu(self._store.pid) if self._store else 0.0)

    def _interrupt(self, signal_number: int, frame: FrameType | None) -> None:
        self._interrupted = True


class Meter:
    """Wall and CPU seconds of a run, from its first environment step to its end."""

    def __init__(self, cpu_clock: Callable[[], float]) -> None:
        self._cpu_clock = cpu_clock
        self._start: tuple[float, float] | None = None
        self.wall_seconds, self.cpu_seconds = 0.0, 0.0

    def look(self, observation: Observation) -> None:
        """Starts at the first observation with environment steps."""
        if self._start is None and observation.environment_steps:
            self._start = time.monotonic(), self._cpu_clock()

    def stop(self) -> None:
        """Takes both times."""
        if self._start is not None:
            self.wall_seconds = time.monotonic() - self._start[0]
            self.cpu_seconds = self._cpu_clock() - self._start[1]


def _is_over(observation: Observation, deadline: float | None) -> bool:
    """The goal is reached, or the budget is spent and its last evaluation is in (or too late)."""
    if observation.status == "budget":
        return not observation.evaluations_pending or (deadline is not None and time.monotonic() > deadline)
    return observation.status == "reached"


def _process_cpu(pid: int | None) -> float:
    try:
        times = psutil.Process(pid).cpu_times() if pid else None
    except psutil.Error:
        return 0.0
    return times.user + times.system if times else 0.0
