"""What a person sees of a run: log lines, or a live picture where stderr is a terminal."""

import contextlib
import time
from typing import Protocol, TextIO

from adql.config import RunSpecification
from adql_services.local.watch import Observation


class View(Protocol):
    """Is told what happens."""

    def say(self, text: str) -> None:
        """Shows one line that stays."""

    def show(self, observation: Observation, processes: dict[str, str]) -> None:
        """Shows how the run stands; ``processes`` has the state of each process by its name."""

    def close(self, status: str, last: Observation | None = None) -> None:
        """Leaves the terminal as it was; ``status`` is how the run ended, ``last`` how it stands then."""


def make_view(specification: RunSpecification, title: str, stream: TextIO, evaluations: int) -> View:
    """Returns the live view for a terminal, else log lines; ``evaluations`` were shown by earlier commands.

    A run goes on where nobody can see it any more, because ``stream`` is full or broken.
    """
    if stream.isatty():
        from adql_services.local.live import LiveView

        return Dispensable(LiveView(specification, title, evaluations))
    from adql_services.local.progress import ProgressLog

    return Dispensable(ProgressLog(specification, stream, time.monotonic, evaluations))


class Dispensable:
    """A view that may fail."""

    def __init__(self, view: View) -> None:
        self._view = view

    def say(self, text: str) -> None:
        """Shows one line, if that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._view.say(text)

    def show(self, observation: Observation, processes: dict[str, str]) -> None:
        """Shows how the run stands, if that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._view.show(observation, processes)

    def close(self, status: str, last: Observation | None = None) -> None:
        """Leaves the terminal as it was, if there is one."""
        with contextlib.suppress(OSError, ValueError):
            self._view.close(status, last)
