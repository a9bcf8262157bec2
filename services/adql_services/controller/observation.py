"""What the controller knows of the run: single readings of counters, and what happened between two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What Kubernetes, the parameter server and the replay service told in one round; counts are of the whole run."""

    at: float
    """Monotonic seconds."""
    replicas: int
    """Learners that the Deployment was asked for."""
    run_id: str
    epoch: int
    status: str
    over: bool
    learners: int
    """Live sessions of the role that the Deployment has, those of other pods too."""
    applied: int
    stale: int
    """Updates that were refused because they were based on too old a version."""
    staleness: Mapping[int, int]
    """How many applied updates were how many versions behind."""
    bound: int
    """How many versions behind is too much."""
    hunger: float = 0.0
    """Of the replay's rate limiter: 1 where samples wait for inserts, −1 where inserts wait for samples."""


@dataclass(frozen=True, slots=True)
class Window:
    """What happened while nothing about the number of learners changed."""

    updates_per_second: float
    refused: float
    """Share of the updates that were refused as stale."""
    staleness: int
    """Of the applied updates, 99 of 100 were no further behind."""
    bound: int
    hunger: float = 0.0


def window_of(readings: Sequence[Reading], seconds: float) -> Window | None:
    """Returns what happened in the last ``seconds`` or a little more.

    None unless all the learners that were asked for lived all that time, under one epoch of one run: what is measured
    while some start or end says nothing of their number.
    """
    newest = readings[-1]
    if newest.learners < newest.replicas:
        return None
    for former in reversed(readings):
        if _circumstances(former) != _circumstances(newest):
            return None
        if newest.at - former.at >= seconds:
            return _between(former, newest)
    return None


def kept(readings: Sequence[Reading], seconds: float) -> tuple[Reading, ...]:
    """Returns those of ``readings`` that a window of ``seconds`` may still need."""
    younger = [reading for reading in readings if readings[-1].at - reading.at < seconds]
    return tuple(readings[max(0, len(readings) - len(younger) - 1) :])


def _circumstances(reading: Reading) -> tuple[int, int, str, int]:
    return reading.replicas, reading.learners, reading.run_id, reading.epoch


def _between(former: Reading, newest: Reading) -> Window:
    applied, stale = newest.applied - former.applied, newest.stale - former.stale
    grown = {value: count - former.staleness.get(value, 0) for value, count in newest.staleness.items()}
    return Window(
        updates_per_second=applied / (newest.at - former.at),
        refused=stale / max(1, applied + stale),
        staleness=_p99(grown),
        bound=newest.bound,
        hunger=newest.hunger,
    )


def _p99(counts: Mapping[int, int]) -> int:
    rank, seen = 0.99 * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank > 0:
            return value
    return 0
