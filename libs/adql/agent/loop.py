"""What every role has in common: a loop that takes turns."""

from typing import Protocol

WAIT_SECONDS = 1.0
"""How long one request may wait in a server; short, so that a signal is soon heard."""


class Loop(Protocol):
    """A process of one role, assembled from collaborators that may be local or remote."""

    def turn(self) -> None:
        """Does a little of everything that the role has to do; waits in a server where it may do nothing."""

    def close(self) -> None:
        """Comes to rest: nothing is under way afterwards, and what was done is reported; another turn goes on."""
