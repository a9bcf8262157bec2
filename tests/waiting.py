"""Waiting for a condition, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 60.0, what: Callable[[], str] = lambda: "") -> T:
    """Returns what ``condition`` returns as soon as that is true; fails after ``seconds``, saying ``what()``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s; {what()}"
        time.sleep(0.01)
    return found
