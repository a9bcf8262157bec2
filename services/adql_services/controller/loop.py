"""One round of the controller: look, decide, write, say why."""

import time
from collections.abc import Callable
from typing import Any

from adql.config import ControllerSettings
from adql.errors import AdqlError, ConflictError, NotFoundError, RunFailedError, UnavailableError
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql_services.cluster.api import Cluster
from adql_services.controller.decision import REASONS, Decision, Limits, Memory, Sight, decide
from adql_services.controller.observation import Reading, kept, window_of
from adql_services.controller.sources import Sources
from adql_services.runtime.worker import Worker

Tree = dict[str, Any]
COMPONENT = "adql-controller"
"""Who the events are from."""


class Controller:
    """Keeps one Deployment at the number of learners that ``decide`` finds.

    A change is conditional on what was read: where somebody else came first, the next round begins with theirs.
    ``worker`` is told of every step, since each may take as long as a silent other side is waited for.
    """

    def __init__(
        self,
        cluster: Cluster,
        sources: Sources,
        settings: ControllerSettings,
        worker: Worker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._sources, self._worker, self._clock = cluster, sources, worker, clock
        self._deployment, self._window_seconds = settings.deployment, settings.window_seconds
        self._limits = limits_of(settings)
        self._readings: tuple[Reading, ...] = ()
        self._memory: Memory | None = None
        self._unsure: Memory | None = None
        """What to remember if the last write, whose answer says nothing, was done all the same."""
        self._told = ""
        _show_zeros()

    def round(self) -> bool:
        """Does it once; returns whether the Deployment could be read.

        Raises:
            RunFailedError: the Role does not allow it.
            AdqlError: what the services refuse for good, such as the token.
            Stopped: the service was asked to end.
        """
        with self._worker.waiting():  # nothing is lost by leaving until something is changed
            try:
                scale = self._cluster.scale_of(self._deployment)
            except (NotFoundError, RunFailedError) as error:
                self._not_now(error)
                return False
            replicas = int(scale["spec"].get("replicas", 0))  # 0 is left out
            self._worker.beat()
            sight = self._sight(replicas)
        decision, memory = decide(self._known(replicas), sight, self._limits)
        metrics.CONTROLLER_WANTED.set(decision.replicas)
        metrics.CONTROLLER_DECISIONS.labels(decision.reason).inc()
        if decision.replicas == replicas or self._write(scale, decision, memory):
            self._memory = memory
            self._tell("info", decision.reason, replicas=decision.replicas, because=decision.words)
        return True

    def _known(self, replicas: int) -> Memory | None:
        """A number that this controller wrote is not somebody else's because the answer to it was lost."""
        if self._unsure is not None and self._unsure.replicas == replicas:
            self._memory = self._unsure
        self._unsure = None
        return self._memory

    def _sight(self, replicas: int) -> Sight:
        try:
            reading = self._sources.read(replicas)
        except UnavailableError as error:
            self._readings = ()  # what is measured over an outage says nothing of the learners
            get_logger().debug("no reading", reason=str(error))
            return Sight(self._clock(), replicas)
        self._readings = kept((*self._readings, reading), self._window_seconds)
        window = window_of(self._readings, self._window_seconds)
        return Sight(reading.at, replicas, reading.status, reading.run_id, reading.over, reading.learners, window)

    def _write(self, scale: Tree, decision: Decision, memory: Memory) -> bool:
        self._worker.beat()
        try:
            self._cluster.rescale(scale, decision.replicas)
        except ConflictError:
            metrics.CONTROLLER_CHANGES.labels("conflict").inc()
            return False
        except (NotFoundError, RunFailedError) as error:
            metrics.CONTROLLER_CHANGES.labels("failed").inc()
            self._unsure = memory
            self._not_now(error)
            return False
        metrics.CONTROLLER_CHANGES.labels("done").inc()
        self._publish(scale, decision)
        return True

    def _publish(self, scale: Tree, decision: Decision) -> None:
        self._worker.beat()
        try:
            self._cluster.tell(event_of(scale, decision))
        except AdqlError as error:
            get_logger().warning("no event", reason=str(error))

    def _not_now(self, error: AdqlError) -> None:
        """A cluster that is away comes back, and an object may still come; a right that is missing does not."""
        if error.details.get("status") in (401, 403):
            raise RunFailedError(
                f"{str(error).partition(';')[0]}; the controller needs a Role with get, patch and update on "
                f"deployments/scale of {self._deployment} and create on events, bound to its service account; the "
                "chart makes it with controller.enabled=true"
            ) from None
        self._tell("warning", "cluster", reason=str(error), hint="ADQL_DEPLOYMENT and ADQL_NAMESPACE say whose")

    def _tell(self, level: str, what: str, **words: Any) -> None:
        """Says what is new since the last round."""
        told = f"{what} {words.get('replicas')}"
        if told != self._told:
            getattr(get_logger(), level)("waiting for the cluster" if level == "warning" else what, **words)
        self._told = told


def limits_of(settings: ControllerSettings) -> Limits:
    """Returns what the settings allow."""
    return Limits(
        minimum=settings.min_replicas,
        maximum=settings.max_replicas,
        cool_down_seconds=settings.cool_down_seconds,
        start_seconds=settings.start_seconds,
        retry_seconds=settings.retry_seconds,
        to_zero_when_over=settings.scale_to_zero_when_done,
        role=settings.role,
    )


def event_of(scale: Tree, decision: Decision) -> Tree:
    """Returns the event that says why the Deployment of ``scale`` now has another number of learners."""
    metadata, before = scale["metadata"], int(scale["spec"].get("replicas", 0))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            **{key: metadata[key] for key in ("name", "namespace", "uid") if key in metadata},
        },
        "type": "Normal",
        "reason": "MoreLearners" if decision.replicas > before else "FewerLearners",
        "message": f"{before} to {decision.replicas} learners ({decision.reason}): {decision.words}",
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _show_zeros() -> None:
    """What did not happen yet is 0, so that the first time is seen as growth."""
    for reason in REASONS:
        metrics.CONTROLLER_DECISIONS.labels(reason)
    for outcome in ("done", "conflict", "failed"):
        metrics.CONTROLLER_CHANGES.labels(outcome)
