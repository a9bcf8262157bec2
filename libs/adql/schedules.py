"""Schedules: pure functions of a clock (environment steps or learner steps)."""

from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(value: float) -> Schedule:
    """Returns ``value`` at every step."""
    return lambda step: value


def linear(initial: float, final: float, steps: int) -> Schedule:
    """Goes from ``initial`` at step 0 to ``final`` at ``steps`` in a straight line and stays there."""
    return lambda step: initial + (final - initial) * min(1.0, step / steps)


def exponential(initial: float, final: float, half_life: int) -> Schedule:
    """Halves the distance to ``final`` every ``half_life`` steps: final + (initial − final)·2^(−step/half_life)."""
    return lambda step: final + (initial - final) * 0.5 ** (step / half_life)
