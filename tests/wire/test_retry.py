import random

import pytest

from adql.errors import RateLimitedError, StaleUpdateError, TransportError, UnavailableError
from adql.wire.retry import Backoff, call_with_retry
from tests.clocks import SleepingClock


def failing(times: int, error: Exception):
    calls = iter(range(times))

    def operation() -> str:
        if next(calls, None) is not None:
            raise error
        return "done"

    return operation


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock()


@pytest.fixture
def backoff(clock) -> Backoff:
    return Backoff(clock, clock.sleep, random.Random(1))


@pytest.mark.parametrize("kind", [TransportError, RateLimitedError, UnavailableError])
def test_what_may_be_retried_is_retried(kind, backoff, clock):
    assert call_with_retry(failing(5, kind("no")), backoff, deadline_seconds=60) == "done"
    assert len(clock.slept) == 5


@pytest.mark.parametrize("error", [StaleUpdateError("old"), ValueError("bug"), ConnectionResetError()])
def test_anything_else_is_raised_at_once(error, backoff, clock):
    with pytest.raises(type(error)):
        call_with_retry(failing(1, error), backoff, deadline_seconds=60)
    assert clock.slept == []


def test_waits_are_spread_over_the_whole_doubling_interval():
    backoff = Backoff(lambda: 0.0, lambda s: None, random.Random(2), base_seconds=0.1, cap_seconds=5.0)
    for attempt, bound in [(0, 0.1), (3, 0.8), (30, 5.0), (10_000, 5.0)]:
        waits = [backoff.seconds(attempt) for _ in range(2_000)]
        assert max(waits) <= bound and min(waits) < 0.01 * bound
        assert sum(waits) / len(waits) == pytest.approx(bound / 2, rel=0.05)


def test_what_the_server_asked_for_is_waited_at_least(backoff, clock):
    call_with_retry(failing(3, RateLimitedError("slow down", retry_after_ms=400)), backoff, deadline_seconds=60)
    assert all(0.4 <= seconds <= 0.4 + 0.2 for seconds in clock.slept)


def test_the_last_error_is_raised_when_the_next_wait_would_pass_the_deadline(backoff, clock):
    with pytest.raises(TransportError, match="gone"):
        call_with_retry(failing(10**6, TransportError("gone")), backoff, deadline_seconds=10.0)
    assert 4.0 < clock.now <= 10.0


def test_without_a_deadline_it_goes_on(backoff, clock):
    assert call_with_retry(failing(500, TransportError("gone")), backoff, deadline_seconds=None) == "done"


def test_each_retry_is_reported_for_counters(backoff):
    seen: list[str] = []
    call_with_retry(
        failing(3, TransportError("x")), backoff, deadline_seconds=60, on_retry=lambda e: seen.append(e.kind)
    )
    assert seen == ["transport"] * 3
