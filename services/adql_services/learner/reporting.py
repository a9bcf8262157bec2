"""What a learner or an actor tells: Prometheus metrics, and one CSV line a training episode."""

import time
from collections.abc import Iterable, Sequence
from io import FileIO
from pathlib import Path

from adql.agent.activity import Stopwatch
from adql.agent.actor import Episode
from adql.agent.collector import Collector
from adql.agent.evaluation import success_by_goal
from adql.agent.study import Study
from adql.episodes import EpisodeRecord
from adql.errors import InputError
from adql.schedules import Schedule
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.types import RunState
from adql.wire.parameter_client import ParameterClient
from adql.wire.replay_client import ReplayClient


class EpisodeFile:
    """Appends episodes to one file that several learners share: each write is one appended block of whole lines.

    Where the environment does not say it, an episode is a success when its return reaches ``goal``.

    Raises:
        InputError: the file cannot be opened; only at construction. A disk that is full later does not stop learning.
    """

    def __init__(self, path: Path | None, goal: float | None) -> None:
        self._goal = goal
        try:
            self._stream = path.open("ab", buffering=0) if path else None
        except OSError as error:
            raise InputError(
                f"cannot write ADQL_EPISODES_FILE={path}: {error.strerror}; name a file that can be written, or none"
            ) from None
        self._broken = False

    def write(self, episodes: Iterable[Episode], slot: int, state: RunState) -> None:
        """Appends a line an episode."""
        now, steps = time.time(), state.clocks.environment_steps
        lines = "".join(f"{self._record(now, slot, steps, episode).line()}\n" for episode in episodes)
        if self._stream and lines:
            self._append(self._stream, lines.encode())

    def close(self) -> None:
        """Closes the file."""
        if self._stream:
            self._stream.close()

    def _record(self, now: float, slot: int, steps: int, episode: Episode) -> EpisodeRecord:
        success = success_by_goal(episode.success, episode.episode_return, self._goal)
        return EpisodeRecord(now, slot, steps, episode.episode_return, episode.length, episode.epsilon, success)

    def _append(self, stream: FileIO, lines: bytes) -> None:
        """An outage is told once, when it begins."""
        try:
            stream.write(lines)
            self._broken = False
        except OSError as error:
            if not self._broken:
                get_logger().error("episodes are not written; learning goes on", error=str(error))
            self._broken = True


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
