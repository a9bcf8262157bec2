"""What is told of a run on its server's volume, beside what the run goes on from.

run.yaml        the specification it runs by, every key resolved
progress.csv    its clocks over time
episodes.csv    training episodes, as the processes tell them
activity.json   where their time went

It is written a moment after it is told, and not synced: a crash of the server may cost half a second of it, and nothing
that was learned.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from adql.config import RunSpecification, to_yaml
from adql.episodes import EpisodeRecord
from adql.files import write_atomically
from adql.parameters.activities import Activities
from adql.parameters.course import Course, Sight
from adql.parameters.episode_log import EpisodeLog
from adql.parameters.sessions import MAX_SESSIONS, Session
from adql.types import Activity, Clocks

SPECIFICATION = "run.yaml"
MAX_NUMBERS = 2 * MAX_SESSIONS
"""Of sessions whose last account is known."""


class Diary:
    """One server's; ``take`` and ``look`` change memory alone, ``writing`` returns what then writes, in any thread."""

    def __init__(self, directory: Path) -> None:
        self._specification = directory / SPECIFICATION
        self._course = Course(directory / "progress.csv")
        self._episodes = EpisodeLog(directory / "episodes.csv")
        self._activities = Activities(directory / "activity.json")
        self._numbers: dict[str, int] = {}

    def load(self, specification: RunSpecification, clocks: Clocks) -> None:
        """Goes on from what was written, under ``specification``.

        Raises:
            OSError: the volume cannot be written.
        """
        text = to_yaml(specification).encode()
        if not (self._specification.exists() and self._specification.read_bytes() == text):
            write_atomically(self._specification, text)
        self._course.load(clocks)
        self._episodes.load()
        self._activities.load()

    @property
    def wall_seconds(self) -> float:
        """How long the run has gone on."""
        return self._course.wall_seconds

    def activity_seconds(self) -> dict[str, dict[str, float]]:
        """Returns seconds by process and activity; a process is called by its role and slot, such as ``actor-0``."""
        return self._activities.seconds()

    def take(
        self,
        session: Session,
        number: int,
        episodes: Iterable[EpisodeRecord],
        seconds: Mapping[Activity, float],
    ) -> None:
        """Takes account ``number`` (0, 1, …) of a session; one that was taken before changes nothing."""
        taken = self._numbers.pop(session.identifier, 0)
        self._numbers[session.identifier] = max(taken, number + 1)
        if len(self._numbers) > MAX_NUMBERS:
            del self._numbers[next(iter(self._numbers))]  # who was silent for longest
        if number < taken:
            return
        self._episodes.add(episodes)
        self._activities.add(f"{'learner' if session.pushes else 'actor'}-{session.slot}", seconds)

    def look(self, sight: Sight) -> None:
        """Moves the run's clock on."""
        self._course.look(sight)

    def look_last(self, sight: Sight) -> None:
        """Looks before the server ends."""
        self._course.note_last(sight)

    def writing(self, *, last: bool = False) -> Callable[[], None]:
        """Returns what writes all that is new; it raises OSError, and what failed is written the next time."""
        page, lines, episodes = self._activities.take(last=last), self._course.take(), self._episodes.take()

        def write() -> None:
            with ExitStack() as stack:  # each is tried, whatever becomes of the others
                stack.callback(self._activities.write, page)
                stack.callback(self._episodes.write, episodes)
                stack.callback(self._course.write, lines)

        return write
