"""The run in numbers: for Prometheus, and for people who ask the server."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
from starlette.requests import ClientDisconnect

from adql.config.effective import usual_staleness_bound
from adql.errors import AdqlError
from adql.parameters.applying import PushResult
from adql.parameters.run_record import Purpose, Result, RunRecord, Status
from adql.parameters.server import ParameterServer
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.types import Clocks

REFUSALS = frozenset(
    {
        *("stale", "invalid_update", "gap", "superseded", "unknown_session", "wrong_run", "other_run"),
        *("malformed", "wire", "wire_version", "too_large", "length_required", "media_type", "incomplete"),
        *("store_unavailable", "unavailable", "other"),
    }
)
"""Why a push is not applied, by the kind of the error; ``incomplete``: its body ended early."""


@contextlib.contextmanager
def receiving() -> Iterator[None]:
    """Counts a push that came and, when it is refused inside, why; one that is not, ``MetricsReport.count`` counts."""
    metrics.UPDATES_RECEIVED.inc()
    try:
        yield
    except BaseException as refusal:
        metrics.UPDATES.labels(_reason(refusal)).inc()
        raise


def _reason(refusal: BaseException) -> str:
    if isinstance(refusal, ClientDisconnect):
        return "incomplete"
    kind = refusal.kind if isinstance(refusal, AdqlError) else "other"
    return kind if kind in REFUSALS else "other"


class MetricsReport:
    """Publishes the machine's numbers; counters grow by what happened since the last time.

    They begin at 0 with every process, as Prometheus asks for; ``clocks`` are the run's at this one's start.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._status = ""
        self._expired = 0
        for outcome in ("applied", "duplicate", *REFUSALS):
            metrics.UPDATES.labels(outcome)  # shows 0 before the first
        for purpose in get_args(Purpose):
            metrics.EVALUATIONS.labels(purpose)

    def begin(self, machine: ParameterServer) -> None:
        """Publishes what a process of this run does not change, and what an earlier one left."""
        specification, record = machine.specification, machine.evaluations
        metrics.BUDGET_STEPS.set(specification.training.environment_steps)
        if specification.goal is not None:
            metrics.GOAL_RETURN.set(specification.goal)
        if (newest := record.reached or record.last) is not None:
            self.evaluated(newest)

    def evaluated(self, result: Result) -> None:
        """Publishes the newest evaluation."""
        metrics.EVALUATION_RETURN.set(result.mean)
        metrics.EVALUATION_LOWEST.set(result.lowest)
        metrics.EVALUATION_HIGHEST.set(result.highest)

    def count(self, result: PushResult) -> None:
        """Counts a push that is, or was before, applied."""
        metrics.UPDATES.labels(result.outcome).inc()
        if result.outcome == "applied":
            metrics.STALENESS.observe(result.staleness)

    def publish(self, machine: ParameterServer) -> None:
        """Sets the gauges and raises the counters."""
        clocks = machine.clocks
        metrics.EPOCH.set(machine.version.epoch)
        metrics.VERSION.set(machine.version.number)
        metrics.DURABLE_VERSION.set(machine.durable.number)
        metrics.ACTIVE_LEARNERS.set(machine.sessions.learners)
        metrics.RUN_ENVIRONMENT_STEPS.set(clocks.environment_steps)
        metrics.RUN_LEARNER_STEPS.set(clocks.learner_steps)
        metrics.EVALUATIONS_WAITING.set(len(machine.evaluations.waiting))
        metrics.STALENESS_BOUND.labels(machine.specification.update.staleness.policy).set(_bound(machine))
        metrics.ENVIRONMENT_STEPS.inc(max(0, clocks.environment_steps - self._clocks.environment_steps))
        metrics.LEARNER_STEPS.inc(max(0, clocks.learner_steps - self._clocks.learner_steps))
        self._clocks = clocks
        metrics.SESSIONS_EXPIRED.inc(machine.sessions.expired - self._expired)
        self._expired = machine.sessions.expired
        if machine.status != self._status:
            self._status = machine.status
            get_logger().info("the run", status=self._status)
            for status in get_args(Status):
                metrics.RUN_STATUS.labels(status).set(status == self._status)

    def describe(self, machine: ParameterServer) -> dict[str, Any]:
        """Returns the body of GET /v1/run, without the state that every answer carries."""
        counts = machine.sessions.counts
        return {
            "name": machine.identity.name,
            "config_hash": machine.identity.config_hash,
            "keys": machine.identity.keys,
            "goal": machine.specification.goal,
            "started_at": machine.started_at,
            "incidents": machine.incidents,
            "updates": msgspec.to_builtins(counts),
            "updates_by_slot": _by_slot(machine.sessions.applied_by_slot),
            "environment_steps_by_slot": _by_slot(machine.sessions.environment_steps_by_slot),
            "sessions": [
                {
                    "slot": session.slot,
                    "role": session.role,
                    "environment_steps": session.environment_steps,
                    "last_sequence": session.last_sequence,
                    **msgspec.to_builtins(session.counts),
                }
                for session in machine.sessions.live
            ],
            "staleness": staleness_summary(machine.staleness_counts),
            "staleness_bound": _bound(machine),
            "staleness_counts": {str(value): count for value, count in sorted(machine.staleness_counts.items())},
            "evaluations": _evaluations(machine.evaluations),
        }


def staleness_summary(counts: Mapping[int, int]) -> dict[str, float] | None:
    """Returns mean, median, 99th percentile and maximum of the applied updates' staleness; None before the first."""
    total = sum(counts.values())
    if not total:
        return None
    mean = sum(value * count for value, count in counts.items()) / total
    return {
        "mean": mean,
        "p50": _quantile(counts, 0.5 * total),
        "p99": _quantile(counts, 0.99 * total),
        "max": max(counts),
    }


def _bound(machine: ParameterServer) -> int:
    return usual_staleness_bound(machine.specification.update.staleness, max(1, machine.sessions.learners))


def _by_slot(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(slot): count for slot, count in counts.items()}


def _quantile(counts: Mapping[int, int], rank: float) -> int:
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    raise AssertionError("rank is at most the number of counts")


def _evaluations(record: RunRecord) -> dict[str, Any]:
    return {
        "waiting": len(record.waiting),
        "scheduled_learner_steps": record.scheduled_learner_steps,
        "reported": record.reported,
        "given_up": record.given_up,
        "last": msgspec.to_builtins(record.last),
        "best": msgspec.to_builtins(record.best),
        "reached": msgspec.to_builtins(record.reached),
        "plateau": msgspec.to_builtins(record.plateau),
    }
