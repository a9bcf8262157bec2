"""What a learner tells: Prometheus metrics, and one CSV line a training episode."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from adql.agent.activity import Stopwatch
from adql.agent.actor import Episode
from adql.agent.actor_learner import LearningRecord
from adql.telemetry import metrics
from adql.types import RunState


class EpisodeFile:
    """Appends episodes to one file that several learners share: each write is one appended block of whole lines."""

    def __init__(self, path: Path | None, slot: int) -> None:
        self._stream = path.open("ab", buffering=0) if path else None
        self._slot = slot

    def write(self, episodes: Iterable[Episode], state: RunState) -> None:
        """Appends a line an episode: Unix time, slot, the run's environment steps, return, length, ε, success."""
        now, steps = time.time(), state.clocks.environment_steps
        lines = "".join(
            f"{now:.3f},{self._slot},{steps},{e.episode_return:g},{e.length},{e.epsilon:.4f},{_flag(e.success)}\n"
            for e in episodes
        )
        if self._stream and lines:
            self._stream.write(lines.encode())


class MetricsReport:
    """Copies a learner's own counters to Prometheus; counters by what they grew since the last copy."""

    def __init__(self) -> None:
        self._reported: dict[str, float] = {}

    def publish(
        self, record: LearningRecord, stopwatch: Stopwatch, environment_steps: int, episodes: list[Episode]
    ) -> None:
        """Publishes everything once; cheap enough for every turn."""
        metrics.LOCAL_ENVIRONMENT_STEPS.inc(self._growth("environment_steps", environment_steps))
        metrics.LOCAL_LEARNER_STEPS.inc(self._growth("learner_steps", record.learner_steps))
        metrics.OUTLIERS_DROPPED.inc(self._growth("outliers_dropped", record.outliers_dropped))
        for activity, seconds in stopwatch.seconds.items():
            metrics.ACTIVITY_SECONDS.labels(activity).inc(self._growth(activity, seconds))
        if episodes:
            self._publish_episodes(episodes)
        if record.newest is not None:
            metrics.LOSS.set(record.newest.loss)
            metrics.TD_ERROR.set(abs(record.newest.td_errors).mean())
            metrics.Q_MEAN.set(record.newest.mean_q)
            metrics.Q_MAX.set(record.newest.max_q)
            metrics.GRADIENT_NORM.set(record.newest.gradient_norm)

    def publish_wire(self, bulk_bytes: Mapping[tuple[str, str], int], encoding: str) -> None:
        """Publishes the bytes of vectors by (operation, direction)."""
        for (operation, direction), count in bulk_bytes.items():
            growth = self._growth(f"{operation} {direction}", count)
            metrics.WIRE_BYTES.labels(operation, direction, encoding).inc(growth)

    def _publish_episodes(self, episodes: list[Episode]) -> None:
        metrics.EPISODE_RETURN.labels("behaviour").set(sum(e.episode_return for e in episodes) / len(episodes))
        metrics.EPISODE_LENGTH.labels("behaviour").set(sum(e.length for e in episodes) / len(episodes))
        metrics.CUMULATIVE_REWARD.inc(sum(e.episode_return for e in episodes))
        metrics.EPSILON.set(sum(e.epsilon for e in episodes) / len(episodes))

    def _growth(self, name: str, value: float) -> float:
        growth = value - self._reported.get(name, 0.0)
        self._reported[name] = value
        return growth


def _flag(success: bool | None) -> str:
    return "" if success is None else str(int(success))
