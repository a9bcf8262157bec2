"""How a service ends: one event that long polls and background tasks wait for, and the error that caused it, if any."""

import asyncio

from adql.errors import AdqlError


class Shutdown:
    """Set once, by a signal or by a task that cannot go on; never unset."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        """Set when the service is to end; everything that waits has to wait for it too."""
        self.failure: AdqlError | None = None
        """Why the service ends with an exit code other than 0."""

    def begin(self, failure: AdqlError | None = None) -> None:
        """Ends the service; of several failures the first is kept."""
        self.failure = self.failure or failure
        self.begun.set()
