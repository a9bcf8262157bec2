"""One command of a local run: its processes, from the first to the summary and the report."""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from adql.config import RunSpecification
from adql.errors import AdqlError, InputError
from adql.parameters.size import state_bytes
from adql_services.local.addresses import Rendezvous
from adql_services.local.fleet import EVALUATOR, WORKERS, Fleet
from adql_services.local.history import History, read_evaluations
from adql_services.local.keeper import StoreKeeper, named_store
from adql_services.local.meter import Meter, cpu_seconds
from adql_services.local.processes import Child, Supervisor, wait_for
from adql_services.local.report import write_report
from adql_services.local.run_directory import RunDirectory
from adql_services.local.summary import Outcome, Tree, greedy_returns, make_summary, read_summary, write_summary
from adql_services.local.view import make_view
from adql_services.local.watch import Observation, Watch

POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0
LAST_EVALUATION_SECONDS = 120.0
"""How long a run at the end of its budget waits for its last evaluation."""
FULL_BYTES = 16 * 1024**2
"""Free space at which a run stops while its state can still be saved."""


class LocalRun:
    """The processes of one run, from start to end."""

    def __init__(self, specification: RunSpecification, directory: RunDirectory) -> None:
        self._specification, self._directory = specification, directory
        evaluations = len(read_evaluations(directory.evaluations))
        self._view = make_view(specification, str(directory.path), sys.stderr, evaluations)
        self._supervisor = Supervisor(self._view.say)
        self._history = History(directory.progress)
        self._meter = Meter(self._history.earlier, self._cpu_seconds)
        self._interrupted = False
        self._keeper: StoreKeeper | None = None
        self._activities: dict[str, dict[str, float]] = {}

    def run(self) -> int:
        """Runs until goal, budget or a signal; writes summary and report. Returns 0.

        Raises:
            InputError: a service refused what it was asked for, or the disk is full; what was learned is saved.
            RunFailedError: a process dies again and again; what was learned is saved.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        rendezvous = Rendezvous()
        watch = Watch(rendezvous, self._directory.episodes)
        failure: AdqlError | None = None
        try:
            self._start(rendezvous)
            self._watch(watch)
        except AdqlError as error:
            failure = error
        finally:
            self._end(watch, failure)
            rendezvous.remove()
        if failure is not None:
            raise failure
        return 0

    def _start(self, rendezvous: Rendezvous) -> None:
        fleet = Fleet(self._specification, self._directory, rendezvous, *self._store())
        children = fleet.children()
        self._view.say(f"{self._directory.path}: starting {', '.join(child.name for child in children)} and store")
        for child in children:
            self._supervisor.start(child)

    def _store(self) -> tuple[str, Path | None]:
        """Returns address and password file of the weight store; starts the embedded one if no other is named."""
        if (named := named_store()) is not None:
            return named.redis_url, named.redis_password_file
        size = state_bytes(self._specification)
        self._keeper = StoreKeeper(self._directory.store, self._view.say, state_bytes=size)
        self._keeper.start()
        return self._keeper.url, None

    def _watch(self, watch: Watch) -> None:
        """Looks at the run until it is over; dead processes come back meanwhile."""
        deadline = None
        while not self._interrupted:
            self._directory.check_space(FULL_BYTES)
            self._supervisor.check()
            if self._keeper is not None:
                self._keeper.check()
            observation = self._look(watch)
            if observation.status == "budget":
                deadline = deadline or time.monotonic() + LAST_EVALUATION_SECONDS
            if _is_over(observation, deadline):
                break
            time.sleep(POLL_SECONDS)

    def _look(self, watch: Watch) -> Observation:
        observation = watch.look()
        self._meter.look(observation)
        self._history.look(observation, self._meter.wall_seconds, self._meter.cpu_seconds)
        processes = {name: self._supervisor.state_of(name) for name in self._supervisor.children}
        self._view.show(observation, processes)
        return observation

    def _end(self, watch: Watch, failure: AdqlError | None) -> None:
        """Learners and actors first, so that all is counted; the servers end while summary and report are made."""
        self._stop_workers(watch)
        observation = watch.look()
        self._view.close()
        going = self._supervisor.ask_to_stop(list(self._supervisor.children))
        refused = isinstance(failure, InputError) and not observation.environment_steps
        try:
            if observation.run and not refused:
                self._write_results(observation, failure)
        finally:
            self._stop_servers(going)
        if refused:
            self._directory.discard()

    def _stop_workers(self, watch: Watch) -> None:
        workers = [name for name in self._supervisor.children if name.startswith(WORKERS)]
        self._activities = {name: found for name in workers if (found := watch.activity_seconds(name))}
        self._supervisor.stop([*workers, EVALUATOR], GRACE_SECONDS)

    def _stop_servers(self, going: Sequence[Child]) -> None:
        wait_for(going, GRACE_SECONDS)
        if self._keeper is not None:
            self._keeper.stop()

    def _write_results(self, observation: Observation, failure: AdqlError | None) -> None:
        self._history.write(observation, self._meter.wall_seconds, self._meter.cpu_seconds)
        outcome = Outcome(
            self._status(observation, failure),
            self._meter.wall_seconds,
            self._meter.cpu_seconds,
            self._supervisor.restarts,
            self._activities,
            str(failure) if failure else None,
        )
        earlier = read_summary(self._directory.summary)
        summary = make_summary(self._specification, observation, outcome, earlier)
        write_summary(summary, self._directory.summary)
        write_report(self._specification, self._directory, summary)
        self._say_results(summary)

    def _status(self, observation: Observation, failure: AdqlError | None) -> str:
        if failure is not None:
            return "failed"
        return observation.status if observation.status in ("reached", "budget") else "stopped"

    def _say_results(self, summary: Tree) -> None:
        self._view.say(
            f"{summary['status']}: {greedy_returns(summary)}; {summary['wall_seconds']:.1f} s, "
            f"{summary['cpu_seconds']:.1f} CPU-s, {summary['environment_steps']} environment steps, "
            f"{summary['learner_steps']} learner steps"
        )
        self._view.say(f"results in {self._directory.path}; open {self._directory.report}")
        if summary["status"] in ("stopped", "failed"):
            self._view.say(f"go on with `adql resume {self._directory.path}`")

    def _cpu_seconds(self) -> float:
        return cpu_seconds(self._supervisor.children.values(), self._keeper.pid if self._keeper else None)

    def _interrupt(self, signal_number: int, frame: FrameType | None) -> None:
        self._interrupted = True


def _is_over(observation: Observation, deadline: float | None) -> bool:
    """The goal is reached, or the budget is spent and its last evaluation is in (or too late)."""
    if observation.status == "budget":
        return not observation.evaluations_pending or (deadline is not None and time.monotonic() > deadline)
    return observation.status == "reached"
