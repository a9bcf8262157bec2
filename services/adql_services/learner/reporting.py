"""What a learner or an actor tells: Prometheus metrics, and accounts of what it did for the run's report."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from adql.agent.activity import Stopwatch
from adql.agent.actor import Episode
from adql.agent.collector import Collector
from adql.agent.evaluation import success_by_goal
from adql.agent.study import Study
from adql.schedules import Schedule
from adql.telemetry import metrics
from adql.types import Account, Activity
from adql.wire.parameter_client import ParameterClient
from adql.wire.replay_client import ReplayClient

EVERY_SECONDS = 1.0
MAX_EPISODES = 400
"""Of one account: as many as fit into 64 KB of JSON."""
MAX_WAITING = 10_000
"""Episodes that wait to be told."""

_Played = tuple[float, int, float, int, float, bool | None]
_COLUMNS = ("unix_seconds", "environment_steps", "returns", "lengths", "epsilons", "successes")
"""Of an account, in the order of what was played."""


class Teller:
    """Tells the parameter server once a second what this process did, for the run's report.

    Where the environment does not say it, an episode is a success when its return reaches ``goal``. What waits to be
    told is bounded: of more episodes than that the oldest are not told. ``clock`` is monotonic, in seconds.
    """

    def __init__(self, client: ParameterClient, goal: float | None, clock: Callable[[], float]) -> None:
        self._client, self._goal, self._clock = client, goal, clock
        self._next = clock() + EVERY_SECONDS
        self._waiting: deque[_Played] = deque(maxlen=MAX_WAITING)
        self._told_seconds: Mapping[Activity, float] = {}

    def note(self, episodes: Iterable[Episode]) -> None:
        """Takes finished episodes; one whose return is no finite number has no line."""
        now, steps = time.time(), self._client.state.clocks.environment_steps
        for episode in episodes:
            if math.isfinite(episode.episode_return):
                success = success_by_goal(episode.success, episode.episode_return, self._goal)
                self._waiting.append((now, steps, episode.episode_return, episode.length, episode.epsilon, success))

    def tell(self, stopwatch: Stopwatch) -> None:
        """Tells when it is time, or when there is enough to tell."""
        if self._clock() >= self._next or len(self._waiting) >= MAX_EPISODES:
            self._tell(stopwatch)

    def tell_all(self, stopwatch: Stopwatch) -> None:
        """Tells what is left."""
        self._tell(stopwatch)
        while self._waiting:
            self._tell(stopwatch)

    def _tell(self, stopwatch: Stopwatch) -> None:
        self._next = self._clock() + EVERY_SECONDS
        played = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_EPISODES))]
        columns = dict(zip(_COLUMNS, zip(*played, strict=True), strict=True)) if played else {}
        growth = {what: total - self._told_seconds.get(what, 0.0) for what, total in stopwatch.seconds.items()}
        spent = {what: seconds for what, seconds in growth.items() if seconds > 0.0}
        if played or spent:
            self._client.tell(Account(activity_seconds=spent, **columns))
            self._told_seconds = dict(stopwatch.seconds)


class MetricsReport:
    """Copies a learner's own counters to Prometheus; counters by what they grew since the last copy."""

    def __init__(self) -> None:
        self._reported: dict[str, float] = {}
        for outcome in ("applied", "duplicate", "stale", "invalid"):
            metrics.LOCAL_UPDATES.labels(outcome)  # shows 0 before the first

    def publish_acting(self, collector: Collector, episodes: Sequence[Episode]) -> None:
        """Publishes what was acted; like the others cheap enough for every turn."""
        metrics.LOCAL_ENVIRONMENT_STEPS.inc(self._growth("environment_steps", collector.environment_steps))
        metrics.EPSILON.set(collector.epsilon)
        if episodes:
            self._publish_episodes(episodes)

    def publish_learning(self, study: Study, learning_rate: Schedule) -> None:
        """Publishes what was learned; ``learning_rate`` is a function of the run's learner steps."""
        record, synchroniser = study.record, study.synchroniser
        metrics.LOCAL_LEARNER_STEPS.inc(self._growth("learner_steps", record.learner_steps))
        metrics.OUTLIERS_DROPPED.inc(self._growth("outliers_dropped", record.outliers_dropped))
        for outcome, count in synchroniser.outcomes.items():
            metrics.LOCAL_UPDATES.labels(outcome).inc(self._growth(f"updates {outcome}", count))
        metrics.LEARNER_DIVERGENCE.set(synchroniser.divergence)
        metrics.LEARNING_RATE.set(learning_rate(synchroniser.learner_clock))
        if record.newest is not None:
            metrics.LOSS.set(record.newest.loss)
            metrics.TD_ERROR.set(abs(record.newest.td_errors).mean())
            metrics.Q_MEAN.set(record.newest.mean_q)
            metrics.Q_MAX.set(record.newest.max_q)
            metrics.GRADIENT_NORM.set(record.newest.gradient_norm)

    def publish_time(self, stopwatch: Stopwatch) -> None:
        """Publishes where the time went."""
        for activity, seconds in stopwatch.seconds.items():
            metrics.ACTIVITY_SECONDS.labels(activity).inc(self._growth(activity, seconds))

    def publish_wire(self, client: ParameterClient, replay: ReplayClient) -> None:
        """Publishes the bytes of vectors, and what became of updates that were not acknowledged."""
        for (operation, direction), count in client.bulk_bytes.items():
            growth = self._growth(f"{operation} {direction}", count)
            metrics.WIRE_BYTES.labels(operation, direction, client.encoding).inc(growth)
        metrics.RECONNECTS.inc(self._growth("reconnects", client.reconnects + replay.reconnects))
        metrics.UPDATES_AT_RISK.inc(self._growth("at_risk", client.updates_at_risk))
        metrics.UPDATES_LOST.inc(self._growth("lost", client.updates_lost))
        metrics.UPDATES_RESENT.inc(self._growth("resent", client.updates_resent))

    def _publish_episodes(self, episodes: Sequence[Episode]) -> None:
        metrics.EPISODE_RETURN.labels("behaviour").set(sum(e.episode_return for e in episodes) / len(episodes))
        metrics.EPISODE_LENGTH.labels("behaviour").set(sum(e.length for e in episodes) / len(episodes))
        metrics.EPISODES.inc(len(episodes))
        metrics.CUMULATIVE_REWARD.inc(sum(e.episode_return for e in episodes))

    def _growth(self, name: str, value: float) -> float:
        growth = value - self._reported.get(name, 0.0)
        self._reported[name] = value
        return growth


def observe_answer(operation: str, seconds: float) -> None:
    """Times a push or a pull."""
    (metrics.PUSH_SECONDS if operation == "push" else metrics.PULL_SECONDS).observe(seconds)
