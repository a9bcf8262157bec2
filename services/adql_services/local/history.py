"""The course of a run as CSV files: progress.csv is written here; it, evaluations and episodes are read for views."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from adql.files import read_rows
from adql_services.local.watch import Observation

EVERY_SECONDS = 0.5
"""Between two lines of progress.csv in the first LONG_SECONDS of a run."""
LONG_SECONDS = 600.0
"""A run that lasts longer gets a line every EVERY_SECONDS · its seconds / LONG_SECONDS."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of progress.csv: the run as it was at ``unix_seconds``."""

    unix_seconds: float
    wall_seconds: float
    """Since the first environment step, the time between two commands left out."""
    cpu_seconds: float
    """Of all processes in that time."""
    environment_steps: int
    learner_steps: int
    learners: int
    staleness_mean: float
    replay_size: int
    samples_per_insert: float


class History:
    """Appends to progress.csv, and knows what stood there before."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self.earlier = read_moments(path)
        self._next = clock()
        if not path.exists():
            path.write_text(",".join(field.name for field in fields(Moment)) + "\n", encoding="utf-8")

    def look(self, observation: Observation, wall_seconds: float, cpu_seconds: float) -> None:
        """Appends a line when one is due."""
        if observation.environment_steps and self._clock() >= self._next:
            self.write(observation, wall_seconds, cpu_seconds)

    def write(self, observation: Observation, wall_seconds: float, cpu_seconds: float) -> None:
        """Appends a line."""
        self._next = self._clock() + EVERY_SECONDS * max(1.0, wall_seconds / LONG_SECONDS)
        moment = Moment(
            round(time.time(), 3),
            round(wall_seconds, 3),
            round(cpu_seconds, 3),
            observation.environment_steps,
            observation.learner_steps,
            observation.learners,
            round(observation.staleness.get("mean", 0.0), 4),
            observation.table.get("size", 0),
            round(observation.table.get("ratio", 0.0), 4),
        )
        with self._path.open("a", encoding="utf-8") as file:
            file.write(",".join(str(value) for value in asdict(moment).values()) + "\n")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One line of evaluations.csv, as far as plots need it."""

    purpose: str
    learner_steps: int
    environment_steps: int
    mean: float
    lowest: float
    highest: float


def read_moments(path: Path) -> list[Moment]:
    """Returns the lines of progress.csv that are whole."""
    return [moment for row in read_rows(path) if (moment := _moment(row))]


def read_evaluations(path: Path) -> list[Evaluated]:
    """Returns the lines of evaluations.csv that are whole."""
    return [evaluated for row in read_rows(path) if (evaluated := _evaluated(row))]


def _moment(row: dict[str, str]) -> Moment | None:
    try:
        return Moment(*(field.type(row[field.name]) for field in fields(Moment)))  # type: ignore[operator]
    except (KeyError, TypeError, ValueError):
        return None


def _evaluated(row: dict[str, str]) -> Evaluated | None:
    try:
        return Evaluated(
            row["purpose"],
            int(row["learner_steps"]),
            int(row["environment_steps"]),
            *(float(row[name]) for name in ("mean", "lowest", "highest")),
        )
    except (KeyError, TypeError, ValueError):
        return None
