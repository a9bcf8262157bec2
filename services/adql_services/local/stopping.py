"""What SIGINT, SIGTERM and SIGHUP ask of a run: the first to save and end, the second to end at once."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The last one says that the terminal is gone."""
ECHO_SECONDS = 0.1
"""A signal that follows so closely is the same one: ``timeout`` sends two, to the process and to its group."""


class Interrupted(BaseException):
    """The first signal came where nothing is lost by leaving."""


class EndNow(BaseException):
    """The second signal came; wherever that was, nothing is waited for any more."""


class StopRequest:
    """What was asked for by signals; raises in the main thread."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The first signal that came."""
        self._came, self._waiting = 0.0, False

    def listen(self) -> "StopRequest":
        """Takes the signals of this process from now on."""
        for number in SIGNALS:
            ignored = signal.getsignal(number) is signal.SIG_IGN
            if not (number == signal.SIGHUP and ignored):  # so started by nohup
                signal.signal(number, self._take)
        return self

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, the first signal raises Interrupted at once."""
        self._waiting = True
        try:
            if self.number is not None:
                raise Interrupted
            yield
        finally:
            self._waiting = False

    def ignore(self) -> None:
        """Takes no more signals: it is over."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if time.monotonic() - self._came > ECHO_SECONDS:
                self.ignore()
                raise EndNow
            return
        self.number, self._came = number, time.monotonic()
        if self._waiting:
            self._waiting = False
            raise Interrupted
