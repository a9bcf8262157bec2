"""Saying something again and again, ever less often."""

from collections.abc import Callable

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0


class Reminder:
    """Is due at once, after 1 s, after 2 s more, 4 s more … and in the end every 30 s; ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._next, self._pause = clock, clock(), FIRST_SECONDS

    def is_due(self) -> bool:
        """Returns whether to say it now; then the next time is further away."""
        now = self._clock()
        if now < self._next:
            return False
        self._next, self._pause = now + self._pause, min(2 * self._pause, LONGEST_SECONDS)
        return True
