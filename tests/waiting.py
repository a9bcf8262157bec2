"""Waiting for a condition, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], seconds: float = 60.0, what: Callable[[], str] = lambda: "", every: float = 0.01
) -> T:
    """Returns what ``condition`` returns as soon as that is true; fails after ``seconds``, saying ``what()``.

    It is asked again ``every`` so many seconds: seldom where asking is expensive.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s; {what()}"
        time.sleep(every)
    return found
