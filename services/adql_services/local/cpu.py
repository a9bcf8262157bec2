"""CPU seconds of processes, over all their lives."""

import os

import psutil


class CpuSeconds:
    """User and system seconds of one process after another under one name.

    What a process used after the last look at it is not seen.
    """

    def __init__(self) -> None:
        self._of_the_dead, self._seen = 0.0, 0.0

    def begin(self) -> None:
        """Says that another process follows."""
        self._of_the_dead, self._seen = self._of_the_dead + self._seen, 0.0

    def look(self, pid: int | None) -> float:
        """Returns the seconds of all lives so far; ``pid`` is the present one's, None if it ended."""
        if pid is not None:
            self._seen = max(self._seen, _of_process(pid))
        return self._of_the_dead + self._seen


def own_cpu_seconds() -> float:
    """User and system seconds of this process."""
    return _of_process(os.getpid())


def _of_process(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0  # it ended meanwhile: what was seen last counts
    return float(times.user + times.system)
