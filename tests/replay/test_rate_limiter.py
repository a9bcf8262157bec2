import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adql.errors import ConfigError
from adql.replay import RateLimiter

SETTINGS = {"samples_per_insert": 8.0, "min_size": 100, "capacity": 1_000, "max_error": 0.0, "request": 64, "chunk": 10}


def limiter(**changes) -> RateLimiter:
    return RateLimiter(**{**SETTINGS, **changes})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("samples_per_insert", 0.0),
        ("samples_per_insert", math.nan),
        ("samples_per_insert", math.inf),
        ("min_size", 0),
        ("min_size", 1_001),
        ("max_error", -1.0),
        ("max_error", math.nan),
        ("chunk", 1_001),
        ("chunk", 0),
        ("request", 0),
    ],
)
def test_settings_that_lock_up_are_refused_by_key_and_value(key, value):
    names = {"chunk": "chunk_transitions", "request": "batches_per_request"}
    with pytest.raises(ConfigError, match=rf"replay\.{names.get(key, key)}.* {value} .*(lower|raise|safe)"):
        limiter(**{key: value})


def test_below_min_size_inserts_pass_and_nothing_is_sampled():
    fresh = limiter()
    fresh.inserts = 99
    assert fresh.can_insert(10, size=99, learners=1)
    assert not fresh.can_sample(1, size=99, learners=1)


def test_the_error_is_counted_from_min_size_on():
    running = limiter()
    running.inserts, running.samples = 110, 70
    assert running.error == (110 - 100) * 8.0 - 70


def test_inserts_wait_beyond_the_bound_and_samples_below_it():
    running = limiter()
    running.inserts = 100 + 16  # error 128 = 2 · 64
    assert not running.can_insert(1, size=116, learners=1)
    running.inserts, running.samples = 100, 128
    assert not running.can_sample(1, size=100, learners=1)


def test_the_bound_grows_with_the_live_learners_and_the_chunk():
    assert limiter().bound(learners=1) == 128
    assert limiter().bound(learners=4) == 512
    assert limiter(max_error=1_000.0).bound(learners=1) == 1_000
    assert limiter().bound(learners=1, chunk=100) == 800


def test_without_a_ratio_only_min_size_is_kept():
    free = limiter(samples_per_insert=None)
    free.inserts = 100
    assert free.can_insert(1_000, size=1_000, learners=1)
    assert free.can_sample(10**9, size=100, learners=1)
    assert not free.can_sample(1, size=99, learners=1)


@given(
    ratio=st.floats(0.01, 1_000),
    max_error=st.floats(0, 10_000),
    batch=st.integers(1, 512),
    chunk=st.integers(1, 400),
    learners=st.lists(st.integers(1, 8), min_size=1),
    choices=st.lists(st.booleans(), max_size=200),
)
def test_one_side_may_always_go_on_and_the_error_stays_within_its_bound(
    ratio, max_error, batch, chunk, learners, choices
):
    running = limiter(samples_per_insert=ratio, max_error=max_error, request=batch, chunk=chunk)
    running.inserts = 100
    widest = running.bound(max(learners))
    for choice, live in zip(choices, itertools.cycle(learners), strict=False):
        may_insert, may_sample = running.can_insert(chunk, 100, live), running.can_sample(batch, 100, live)
        assert may_insert or may_sample
        if may_insert and (choice or not may_sample):
            running.inserts += chunk
        else:
            running.samples += batch
        assert abs(running.error) <= widest * (1 + 1e-9) + 1e-9 * running.samples
