"""episodes.csv: read whole, or as it grows; a torn or foreign line costs itself alone."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

RECENT_EPISODES = 50


@dataclass(frozen=True, slots=True)
class Episode:
    """One line of episodes.csv."""

    unix_seconds: float
    slot: int
    environment_steps: int
    total: float
    """Its return."""
    length: int


def read_episodes(path: Path) -> list[Episode]:
    """Returns the lines of episodes.csv that are whole."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:] if path.exists() else []
    return [episode for line in lines if (episode := parse_episode(line))]


def parse_episode(line: str) -> Episode | None:
    """Returns one line of episodes.csv, None if it is torn."""
    try:
        moment, slot, steps, total, length, *_ = line.split(",")
        return Episode(float(moment), int(slot), int(steps), float(total), int(length))
    except ValueError:
        return None


class EpisodeTail:
    """Reads what is appended to episodes.csv."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, path.stat().st_size if path.exists() else 0
        self._returns: deque[float] = deque(maxlen=RECENT_EPISODES)

    def mean_return(self) -> float | None:
        """Returns the mean return of the last episodes, None before the first."""
        episodes = (parse_episode(line) for line in self._new_lines())
        self._returns.extend(episode.total for episode in episodes if episode)
        return sum(self._returns) / len(self._returns) if self._returns else None

    def _new_lines(self) -> list[str]:
        """Whole lines alone: the last one may still be on its way."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return whole.decode(errors="replace").split("\n")
