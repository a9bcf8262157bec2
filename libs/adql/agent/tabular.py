"""Exact tabular Q-learning in one process (Watkins 1989), for environments with few discrete states."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from adql.types import Float64Array, IntArray

StepSize = Callable[[int], float]
"""α of the n-th update of one state-action pair, n from 1."""


class DiscreteEnvironment(Protocol):
    """What is needed of a Gymnasium environment with Discrete observations and actions."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode."""

    def step(self, action: int, /) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Returns (state, reward, terminated, truncated, info)."""


@dataclass(frozen=True, slots=True)
class Table:
    """What was learned."""

    q: Float64Array
    """(states, actions)"""
    visits: IntArray
    """(states, actions): how often each pair was updated."""


def polynomial(exponent: float) -> StepSize:
    """Returns α(n) = n^−exponent: 0 (α = 1) is exact where nothing is random, else between ½ and 1 (Even-Dar 2003)."""
    return lambda visit: visit**-exponent


def learn_table(
    environment: DiscreteEnvironment,
    shape: tuple[int, int],
    *,
    steps: int,
    gamma: float,
    step_size: StepSize,
    rng: np.random.Generator,
    epsilon: float = 1.0,
) -> Table:
    """Learns Q of ``shape`` (states, actions), from 0, over ``steps`` environment steps of an ε-greedy policy.

    Q(s, a) ← Q(s, a) + α(n)[r + γ·max Q(s', ·) − Q(s, a)], without the maximum where s' is terminal.
    """
    states, actions = shape
    # Lists, and random numbers drawn ahead: one element of a numpy array costs as much as the whole update.
    q = [[0.0] * actions for _ in range(states)]
    visits = [[0] * actions for _ in range(states)]
    explores, random_actions = (rng.random(steps) < epsilon).tolist(), rng.integers(actions, size=steps).tolist()
    state, _ = environment.reset(seed=int(rng.integers(2**31)))
    for explore, random_action in zip(explores, random_actions, strict=True):
        row, counts = q[state], visits[state]
        action = random_action if explore else row.index(max(row))
        next_state, reward, terminated, truncated, _ = environment.step(action)
        # Only a terminal state is worth nothing: an episode cut short still bootstraps.
        target = reward + (0.0 if terminated else gamma * max(q[next_state]))
        counts[action] += 1
        row[action] += step_size(counts[action]) * (target - row[action])
        state = environment.reset()[0] if terminated or truncated else next_state
    return Table(np.array(q), np.array(visits))
