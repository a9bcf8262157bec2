"""Exploration: one ε per environment copy, by a schedule or by the Ape-X ladder."""

import functools
from collections.abc import Callable

import numpy as np

from adql.config import ExplorationSettings
from adql.types import Array, Float64Array

Epsilons = Callable[[int], Float64Array]
"""Environment steps of the run → ε of each of C copies, shape (C,)."""


def make_epsilons(settings: ExplorationSettings, slot: Callable[[], int], copies: int) -> Epsilons:
    """Returns the ε of the copies of a learner as a function of the run's clock.

    ``slot`` (0, 1, …) is asked anew each time: a learner whose session expired may have another one.
    """
    if settings.kind == "schedule":
        schedule = settings.epsilon.build()
        return lambda environment_steps: np.full(copies, schedule(environment_steps))
    ladder = functools.cache(lambda slot: _ladder(settings, slot, copies))
    return lambda environment_steps: ladder(slot())


def _ladder(settings: ExplorationSettings, slot: int, copies: int) -> Float64Array:
    """ε = base^(1 + exponent·u) (1803.00933, with u = i/(N − 1) there)."""
    numbers = range(slot * copies, (slot + 1) * copies)
    if settings.actors is None:
        u = np.array([van_der_corput(number) for number in numbers])
    else:
        u = np.array([number % settings.actors for number in numbers]) / (settings.actors - 1)
    return np.asarray(settings.base ** (1.0 + settings.exponent * u), dtype=np.float64)


def van_der_corput(number: int) -> float:
    """The bits of ``number`` mirrored at the point: 0, ½, ¼, ¾, …, evenly spread in [0, 1) for any count of them."""
    value, weight = 0.0, 0.5
    while number:
        value, number, weight = value + weight * (number & 1), number >> 1, weight / 2
    return value


def epsilon_greedy(q_values: Array, epsilons: Float64Array, rng: np.random.Generator) -> Array:
    """Draws one action a row of ``q_values`` (C, actions): uniform with probability ε, else the greedy one."""
    copies, actions = q_values.shape
    explore = rng.random(copies) < epsilons
    return np.where(explore, rng.integers(actions, size=copies), q_values.argmax(axis=1))
