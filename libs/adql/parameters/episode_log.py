"""episodes.csv: the training episodes that the run's processes tell of, as a file of bounded size."""

from collections.abc import Iterable
from pathlib import Path

from adql.episodes import EPISODES_HEADER, EpisodeRecord
from adql.files import append_lines, write_atomically

MAX_BYTES = 64 * 1024**2
"""Beyond it every second episode so far is left out: what a run of weeks has learned shows all the same."""
MAX_UNWRITTEN_BYTES = 1024**2
"""Of lines that wait for a disk that is full; beyond it the newest are dropped."""


class EpisodeLog:
    """Appends to ``path``."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path, self._max_bytes, self._thin_beyond = path, max_bytes, max_bytes
        self._episodes: list[EpisodeRecord] = []
        self._unwritten = ""

    def load(self) -> None:
        """Makes the file where there is none, and ends a line that a crash has torn.

        Raises:
            OSError: the file cannot be written.
        """
        if not self._path.exists():
            write_atomically(self._path, f"{EPISODES_HEADER}\n".encode())
        elif not _ends_whole(self._path):
            append_lines(self._path, "\n", sync=False)

    def add(self, episodes: Iterable[EpisodeRecord]) -> None:
        """Notes episodes."""
        self._episodes += episodes

    def take(self) -> list[EpisodeRecord]:
        """Returns those that are new, for ``write``."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def write(self, episodes: Iterable[EpisodeRecord]) -> None:
        """Appends ``episodes``; in any thread, but one at a time.

        Raises:
            OSError: they wait for the next time.
        """
        lines = self._unwritten + "".join(f"{episode.line()}\n" for episode in episodes)
        if not lines:
            return
        self._unwritten = lines[: lines.rfind("\n", 0, MAX_UNWRITTEN_BYTES) + 1]
        append_lines(self._path, lines, sync=False)
        self._unwritten = ""
        if (size := self._path.stat().st_size) > self._thin_beyond:
            self._thin_beyond = size + self._max_bytes // 64  # if there is no room for its half: not at every write
            self._thin()
            self._thin_beyond = self._max_bytes

    def _thin(self) -> None:
        header, *lines = self._path.read_bytes().splitlines(keepends=True)
        write_atomically(self._path, header, *lines[::2])


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return False
        file.seek(-1, 2)
        return file.read() == b"\n"
