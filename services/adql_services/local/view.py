"""What a person sees of a run: log lines, or a live picture where stderr is a terminal."""

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
    """Returns the live view for a terminal, else log lines; ``evaluations`` were shown by earlier commands."""
    if stream.isatty():
        from adql_services.local.live import LiveView

        return LiveView(specification, title, evaluations)
    from adql_services.local.progress import ProgressLog

    return ProgressLog(specification, stream, time.monotonic, evaluations)
