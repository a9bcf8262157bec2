"""progress.csv: the course of a run, line by line, and the clock of its wall time."""

import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from adql.files import append_lines, read_rows, write_atomically
from adql.types import Clocks

EVERY_SECONDS = 0.5
"""Between two lines in the first LONG_SECONDS of a run."""
LONG_SECONDS = 600.0
"""A run that lasts longer gets a line every EVERY_SECONDS · its seconds / LONG_SECONDS: the file stays small."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of progress.csv: the run as it was at ``unix_seconds``."""

    unix_seconds: float
    wall_seconds: float
    """Since the first environment step; times without a process that takes part, and after the end, are left out."""
    environment_steps: int
    learner_steps: int
    learners: int
    staleness_mean: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What the course looks at."""

    clocks: Clocks
    learners: int
    """Live sessions that push."""
    goes_on: bool
    """Whether somebody takes part and the run is not over."""
    staleness: Mapping[int, int]
    """Applied updates by staleness."""


class Course:
    """Keeps the run's wall time and appends to progress.csv; ``clock`` is monotonic, ``unix_clock`` of the day."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._clock, self._unix_clock = path, clock, unix_clock
        self.wall_seconds = 0.0
        self._seen, self._next = clock(), clock()
        self._steps_before, self._began, self._goes_on = 0, False, False
        self._told = Clocks(0, 0)
        self._lines, self._unwritten = "", ""

    def load(self, clocks: Clocks) -> None:
        """Goes on from the file; lines beyond ``clocks``, which a crash of the server took back, are dropped.

        Raises:
            OSError: the file cannot be written.
        """
        earlier = read_moments(self._path)
        kept = [m for m in earlier if m.environment_steps <= clocks.environment_steps]
        kept = [m for m in kept if m.learner_steps <= clocks.learner_steps]
        content = "".join(f"{line}\n" for line in (_HEADER, *map(_line, kept))).encode()
        if not (self._path.exists() and self._path.read_bytes() == content):
            write_atomically(self._path, content)
        self.wall_seconds = earlier[-1].wall_seconds if earlier else 0.0
        self._steps_before, self._told = clocks.environment_steps, clocks

    def look(self, sight: Sight) -> None:
        """Moves the clock on: from the last look that saw no new step, to the first that sees the run rest."""
        now, went_on = self._clock(), self._goes_on
        begins = not self._began and sight.clocks.environment_steps > self._steps_before
        if went_on or begins:
            self.wall_seconds += now - self._seen
        self._seen, self._began = now, self._began or begins
        self._goes_on = self._began and sight.goes_on
        ended = (went_on or begins) and not self._goes_on
        if ended or (now >= self._next and (self._goes_on or sight.clocks != self._told)):
            self._note(sight, now)

    def note_last(self, sight: Sight) -> None:
        """Looks once more, so that the newest steps have a line."""
        self.look(sight)
        if sight.clocks != self._told:
            self._note(sight, self._seen)

    def take(self) -> str:
        """Returns the lines that are new, for ``write``."""
        lines, self._lines = self._lines, ""
        return lines

    def write(self, lines: str) -> None:
        """Appends ``lines``; in any thread, but one at a time.

        Raises:
            OSError: they wait for the next time.
        """
        self._unwritten += lines
        if self._unwritten:
            append_lines(self._path, self._unwritten, sync=False)
            self._unwritten = ""

    def _note(self, sight: Sight, now: float) -> None:
        self._next = now + EVERY_SECONDS * max(1.0, self.wall_seconds / LONG_SECONDS)
        self._told = sight.clocks
        moment = Moment(
            round(self._unix_clock(), 3),
            round(self.wall_seconds, 3),
            sight.clocks.environment_steps,
            sight.clocks.learner_steps,
            sight.learners,
            round(_mean(sight.staleness), 4),
        )
        self._lines += f"{_line(moment)}\n"


def read_moments(path: Path) -> list[Moment]:
    """Returns the lines of progress.csv that are whole."""
    return [moment for row in read_rows(path) if (moment := _moment(row))]


_HEADER = ",".join(field.name for field in fields(Moment))


def _line(moment: Moment) -> str:
    return ",".join(map(str, astuple(moment)))


def _moment(row: dict[str, str]) -> Moment | None:
    try:
        return Moment(*(field.type(row[field.name]) for field in fields(Moment)))  # type: ignore[operator]
    except (KeyError, TypeError, ValueError):
        return None


def _mean(counts: Mapping[int, int]) -> float:
    total = sum(counts.values())
    return sum(value * count for value, count in counts.items()) / total if total else 0.0
