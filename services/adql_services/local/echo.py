"""The terminal's habit of writing ^C where Ctrl-C was typed, which would tear a picture that is redrawn in place."""

import contextlib
import termios
from typing import Any, TextIO

LOCAL_FLAGS = 3


class Echo:
    """Turned off while this lives; all else that is typed is echoed. Without a terminal nothing happens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._before = stream, _attributes(stream)
        if self._before is not None:
            quiet = list(self._before)
            quiet[LOCAL_FLAGS] &= ~termios.ECHOCTL
            self._set(quiet)

    def restore(self) -> None:
        """Leaves the terminal as it was."""
        if self._before is not None:
            self._set(self._before)

    def _set(self, attributes: list[Any]) -> None:
        with contextlib.suppress(termios.error, ValueError, OSError):
            termios.tcsetattr(self._stream, termios.TCSANOW, attributes)


def _attributes(stream: TextIO) -> list[Any] | None:
    try:
        return termios.tcgetattr(stream)
    except (termios.error, ValueError, OSError):  # no terminal, or closed
        return None
