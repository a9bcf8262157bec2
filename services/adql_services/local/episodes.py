"""episodes.csv: read whole, or as it grows; a torn or foreign line costs itself alone."""

from collections import deque
from pathlib import Path

from adql.episodes import EpisodeRecord

RECENT_EPISODES = 50


def read_episodes(path: Path) -> list[EpisodeRecord]:
    """Returns the lines of episodes.csv that are whole."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:] if path.exists() else []
    return [episode for line in lines if (episode := EpisodeRecord.parse(line))]


class EpisodeTail:
    """Reads what is appended to episodes.csv."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, path.stat().st_size if path.exists() else 0
        self._returns: deque[float] = deque(maxlen=RECENT_EPISODES)

    def mean_return(self) -> float | None:
        """Returns the mean return of the last episodes, None before the first."""
        episodes = (EpisodeRecord.parse(line) for line in self._new_lines())
        self._returns.extend(episode.episode_return for episode in episodes if episode)
        return sum(self._returns) / len(self._returns) if self._returns else None

    def _new_lines(self) -> list[str]:
        """Whole lines alone: the last one may still be on its way."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            if file.seek(0, 2) < self._offset:  # the file was thinned out
                self._offset = file.tell()
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return whole.decode(errors="replace").split("\n")
