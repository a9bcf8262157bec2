"""One command of a local run: its processes, from the first to the summary and the report."""

import sys
import time

from adql.config import RunSpecification
from adql.errors import AdqlError, InputError, RunFailedError
from adql.parameters.course import read_moments
from adql.types import OVER
from adql_services.local.addresses import Rendezvous
from adql_services.local.crew import STOP_SECONDS, Crew
from adql_services.local.ending import Ending, Step
from adql_services.local.fleet import EVALUATOR
from adql_services.local.history import read_evaluations
from adql_services.local.meter import Meter
from adql_services.local.report import write_report
from adql_services.local.run_directory import RunDirectory
from adql_services.local.stopping import EndNow, Interrupted, StopRequest
from adql_services.local.summary import Outcome, Tree, greedy_returns, make_summary, read_summary, write_summary
from adql_services.local.view import make_view
from adql_services.local.watch import Observation, Watch

POLL_SECONDS = 0.2
FULL_BYTES = 16 * 1024**2
"""Free space at which a run stops while its state can still be saved."""


class LocalRun:
    """The processes of one run, from start to end."""

    def __init__(self, specification: RunSpecification, directory: RunDirectory, stop: StopRequest) -> None:
        self._specification, self._directory, self._stop = specification, directory, stop
        evaluations = len(read_evaluations(directory.evaluations))
        self._view = make_view(specification, str(directory.path), sys.stderr, evaluations)
        self._crew = Crew(specification, directory, self._view.say)
        self._earlier = read_summary(directory.summary)
        used, steps = self._earlier.get("cpu_seconds") or 0.0, self._earlier.get("environment_steps", 0)
        self._meter = Meter(used, steps, self._crew.cpu_seconds)

    def run(self) -> int:
        """Runs until goal, budget, plateau or a signal; writes summary and report. Returns 0, or 128 + a second signal.

        Raises:
            InputError: a service refused what it was asked for, or the disk is full; what was learned is saved.
            RunFailedError: a process dies again and again, the folder is gone, or a process did not end well.
        """
        rendezvous = Rendezvous()
        try:
            self._whole(rendezvous)
            self._stop.ignore()
        except EndNow:
            return self._end_at_once()
        finally:
            rendezvous.remove()
        return 0

    def _whole(self, rendezvous: Rendezvous) -> None:
        watch = Watch(rendezvous, self._directory.episodes)
        failure: AdqlError | None = None
        try:
            self._crew.start(rendezvous)
            self._watch(watch)
        except Interrupted:
            pass
        except AdqlError as error:
            failure = error
        except OSError as error:
            failure = self._unwritable(error)
        if (failure := self._end(watch, failure)) is not None:
            raise failure

    def _watch(self, watch: Watch) -> None:
        """Looks at the run until it is over; dead processes come back meanwhile."""
        ending = Ending()
        while True:
            self._check()
            step = ending.after(self._look(watch), time.monotonic())
            if step is Step.END:
                return
            if step is Step.RETIRE:
                self._crew.stop_actor_learners()
            elif step is Step.BRING_BACK:
                self._view.say(
                    "the server lost what was not committed: the run is spent no longer, learners start again"
                )
                self._crew.start_actor_learners_again()
            with self._stop.waiting():
                time.sleep(POLL_SECONDS)

    def _check(self) -> None:
        if not self._directory.is_there():
            raise self._lost()
        self._directory.check_space(FULL_BYTES)
        self._crew.check()

    def _lost(self) -> AdqlError:
        return RunFailedError(
            f"{self._directory.path} was removed or moved while it was trained in, so nothing can be kept there; "
            "start anew with `adql train`, or bring it back and go on with `adql resume`"
        )

    def _unwritable(self, error: OSError) -> AdqlError:
        path = self._directory.path
        return RunFailedError(f"cannot write {path}: {error.strerror or error}; mend that, then `adql resume {path}`")

    def _look(self, watch: Watch) -> Observation:
        with self._stop.waiting():
            observation = watch.look()
        self._meter.look(observation)
        self._view.show(observation, self._crew.states())
        return observation

    def _end(self, watch: Watch, failure: AdqlError | None) -> AdqlError | None:
        """Learners and actors first, so that all is counted; the servers end while summary and report are made.

        Returns ``failure``, or what went wrong with that.
        """
        if not self._directory.is_there():
            self._crew.kill()
            self._view.close("failed")
            return self._lost()
        deadline = time.monotonic() + STOP_SECONDS
        if self._stop.number is not None:
            self._view.say("stopping, and saving what was learned; a second Ctrl-C or SIGTERM ends at once")
        confirmed = self._meter.cpu_seconds
        self._crew.stop_actor_learners(EVALUATOR)
        observation = watch.look()
        self._meter.look(observation)
        self._view.close(self._status(observation, failure), observation)
        self._crew.ask_to_stop()
        asked = isinstance(failure, InputError) if failure else self._stop.number is not None
        unwanted = asked and not observation.environment_steps
        try:
            if observation.run and not unwanted:
                self._write_results(observation, failure, confirmed)
        except OSError as error:
            failure = failure or self._unwritable(error)
        self._crew.wait(deadline)
        unclean = self._unclean()
        if unwanted and (failure or unclean is None):  # learners refuse one input each in its time, some after SIGTERM
            self._drop(failure)
        return failure or unclean

    def _drop(self, failure: AdqlError | None) -> None:
        gone = not self._has_begun() and self._directory.discard()
        if failure is None:
            path = self._directory.path
            self._view.say(
                f"stopped before anything was learned; {path} is removed again"
                if gone
                else f"stopped before it went on; {path} is as it was: go on with `adql resume {path}`"
            )

    def _has_begun(self) -> bool:
        """Whether the server has noted steps; a server that is slow or hangs did not tell of them."""
        return any(moment.environment_steps for moment in read_moments(self._directory.progress))

    def _unclean(self) -> AdqlError | None:
        complaint = self._crew.complaint()
        if complaint is None:
            return None
        return RunFailedError(
            f"{complaint}: what was not saved yet is lost, committed updates are safe; "
            f"go on with `adql resume {self._directory.path}`"
        )

    def _end_at_once(self) -> int:
        self._crew.kill()
        self._view.close("stopped")
        self._view.say(
            "ended at once: steps since the last commit, transitions since the last snapshot, summary and report "
            f"are not saved; committed updates are safe: go on with `adql resume {self._directory.path}`"
        )
        return 128 + (self._stop.number or 0)

    def _write_results(self, observation: Observation, failure: AdqlError | None, confirmed: float) -> None:
        """A run that reached its goal took the ``confirmed`` CPU seconds, another one all that it had."""
        status = self._status(observation, failure)
        used = confirmed if status == "reached" else self._meter.cpu_seconds
        restarts = (self._earlier.get("process_restarts") or 0) + self._crew.restarts
        outcome = Outcome(status, used, restarts, str(failure) if failure else None)
        summary = make_summary(self._specification, observation, outcome)
        write_summary(summary, self._directory.summary)
        write_report(self._specification, self._directory, summary)
        self._say_results(summary)

    def _status(self, observation: Observation, failure: AdqlError | None) -> str:
        if failure is not None:
            return "failed"
        return observation.status if observation.status in OVER else "stopped"

    def _say_results(self, summary: Tree) -> None:
        self._view.say(
            f"{summary['status']}: {greedy_returns(summary)}; {summary['wall_seconds']:.1f} s, "
            f"{summary['cpu_seconds']:.1f} CPU-s, {summary['environment_steps']} environment steps, "
            f"{summary['learner_steps']} learner steps"
        )
        self._view.say(f"results in {self._directory.path}; open {self._directory.report}")
        if summary["status"] in ("stopped", "failed"):
            self._view.say(f"go on with `adql resume {self._directory.path}`")
