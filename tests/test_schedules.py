"""Schedules at their corners."""

import pytest

from adql import schedules


def test_linear_ends_at_its_final_value_and_stays():
    schedule = schedules.linear(1.0, 0.2, 100)
    assert [schedule(step) for step in (0, 50, 100, 10_000)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_exponential_halves_the_distance():
    schedule = schedules.exponential(1.0, 0.0, 10)
    assert [schedule(step) for step in (0, 10, 20)] == pytest.approx([1.0, 0.5, 0.25])


def test_constant_is_constant():
    assert [schedules.constant(0.3)(step) for step in (0, 10**9)] == [0.3, 0.3]
