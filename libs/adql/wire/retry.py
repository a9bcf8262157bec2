"""Retrying what may be retried, with full jitter and a deadline.

That is network errors, 429 and 503, and a gateway's 408, 502 and 504; nothing else.
Whoever retries sends the same bytes again: sequence numbers and chunk numbers make that harmless.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from adql.errors import AdqlError, RateLimitedError, UnavailableError

T = TypeVar("T")
_MAX_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt: uniform in [0, min(cap, base·2^attempt)], at least what was asked.

    Full jitter: a thousand clients that lost the same server come back spread over the whole interval.
    """

    clock: Callable[[], float]
    """Monotonic seconds."""
    sleep: Callable[[float], None]
    rng: random.Random = field(repr=False)
    base_seconds: float = 0.05
    cap_seconds: float = 5.0

    def seconds(self, attempt: int, asked_seconds: float = 0.0) -> float:
        """Returns the wait before attempt ``attempt`` + 1 (from 0); jitter comes on top of what the server asked."""
        return asked_seconds + self.rng.random() * min(
            self.cap_seconds, self.base_seconds * 2.0 ** min(attempt, _MAX_DOUBLINGS)
        )


def call_with_retry(
    operation: Callable[[], T],
    backoff: Backoff,
    *,
    deadline_seconds: float | None,
    on_retry: Callable[[AdqlError], None] = lambda error: None,
    on_success: Callable[[], None] = lambda: None,
) -> T:
    """Calls ``operation`` until it succeeds, fails for good, or the next wait would end beyond the deadline.

    Args:
        operation: may raise anything; only TransportError, RateLimitedError and UnavailableError are retried.
        backoff: how long to wait.
        deadline_seconds: counted from now; None: for ever.
        on_retry: told of the error before each wait, for counters.
        on_success: told before the return.

    Raises:
        AdqlError: the last error of ``operation``, unchanged.
    """
    end = None if deadline_seconds is None else backoff.clock() + deadline_seconds
    attempt = 0
    while True:
        try:
            result = operation()
        except (RateLimitedError, UnavailableError) as error:
            wait = backoff.seconds(attempt, asked_seconds(error))
            if end is not None and backoff.clock() + wait > end:
                raise
            on_retry(error)
        else:
            on_success()
            return result
        backoff.sleep(wait)
        attempt += 1


def asked_seconds(error: AdqlError) -> float:
    """Returns after how long the server asked to come again, 0 where it did not say."""
    milliseconds = error.details.get("retry_after_ms")
    return milliseconds / 1_000 if isinstance(milliseconds, int | float) else 0.0
