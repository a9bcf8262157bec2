"""What a server concludes from the mark that it finds in the store: a pure function."""

from enum import Enum, auto

from adql.parameters.state import Mark


class Finding(Enum):
    """How the store's mark stands to the newest commit that this server knows of."""

    UNCHANGED = auto()
    """Go on from it."""
    LANDED = auto()
    """An attempt of this server whose outcome was unknown was written after all: go on from that."""
    LOST = auto()
    """The store is empty or older: commit again under a new epoch."""
    FENCED = auto()
    """Another server committed: this one has to end."""


def judge(held: Mark | None, known: Mark, owner: str) -> Finding:
    """Compares what the store holds with ``known``, seen by the server process named ``owner``."""
    if held is None:
        return Finding.LOST
    if held == known:
        return Finding.UNCHANGED
    if held.owner != owner and held.epoch >= known.epoch:
        return Finding.FENCED
    return Finding.LOST if held[:3] < known[:3] else Finding.LANDED
