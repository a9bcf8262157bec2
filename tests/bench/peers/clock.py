"""The clock of a race: wall and CPU seconds of training, standing still while somebody is evaluated."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class TrainingClock:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leaves out what is done inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._wall += time.perf_counter() - wall
            self._cpu += time.process_time() - cpu

    @property
    def wall_seconds(self) -> float:
        """Of training so far."""
        return time.perf_counter() - self._wall

    @property
    def cpu_seconds(self) -> float:
        """Of all threads of this process in training so far."""
        return time.process_time() - self._cpu
