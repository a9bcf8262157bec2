"""What a store uses while it is loaded."""

import contextlib
from pathlib import Path

import psutil


class StoreWatch:
    """The store ``process`` with its append-only files under ``folder``."""

    def __init__(self, process: psutil.Process, folder: Path) -> None:
        self._process, self._folder = process, folder
        self.peak_bytes = 0
        """The most memory seen: of it and of the child that rewrites its file, shared pages counted once."""

    def look(self) -> None:
        """Takes the memory of now into account; a child may end meanwhile."""
        used = 0
        with contextlib.suppress(psutil.Error):
            for process in (self._process, *self._process.children()):
                used += process.memory_full_info().pss
        self.peak_bytes = max(self.peak_bytes, used)

    def cpu_seconds(self) -> float:
        """CPU time, with that of the children that ended."""
        times = self._process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def bytes_written(self) -> int:
        """Bytes that it wrote, to its file and in answers, which are short; without its children's."""
        return int(self._process.io_counters().write_chars)

    def rewrites(self) -> int:
        """How often it rewrote its append-only file: the base file is numbered on each time."""
        bases = self._folder.glob("appendonlydir/*.base.*")
        return max((int(base.name.split(".")[-3]) for base in bases), default=1) - 1
