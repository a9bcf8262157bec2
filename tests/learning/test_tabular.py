"""Tabular Q-learning against the exact Q*, and its two kinds of ends.

α(n) of the n-th visit of a pair: n^−0.65 on slippery ice, 1 where nothing is random. The behaviour is uniformly random,
which Q-learning may learn from, so that every pair is met.
"""

from typing import Any

import gymnasium
import numpy as np
import pytest

from adql.agent.tabular import Table, learn_table, polynomial
from tests.learning.exact import solve

GAMMA = 0.99


class OneState:
    """One state, reward 1 a step; every step ends the episode in the given way."""

    def __init__(self, terminated: bool) -> None:
        self._terminated = terminated

    def reset(self, *, seed: int | None = None) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int, /) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 1.0, self._terminated, not self._terminated, {}


def learned(environment: gymnasium.Env, steps: int, exponent: float, seed: int = 0) -> Table:
    shape = (int(environment.observation_space.n), int(environment.action_space.n))
    rng = np.random.default_rng(seed)
    return learn_table(environment, shape, steps=steps, gamma=GAMMA, step_size=polynomial(exponent), rng=rng)


@pytest.mark.parametrize(
    ("name", "pairs", "steps", "exponent"),
    [
        ("FrozenLake-v1", 11 * 4, 800_000, 0.65),
        ("Taxi-v4", 400 * 6, 400_000, 0.0),
        ("CliffWalking-v1", 37 * 4, 200_000, 0.0),
    ],
)
def test_every_reachable_pair_is_within_006_of_q_star(name: str, pairs: int, steps: int, exponent: float) -> None:
    environment = gymnasium.make(name)
    exact, table = solve(environment, GAMMA), learned(environment, steps, exponent)
    assert table.visits[exact.nonterminal].min() > 0
    assert table.visits[exact.nonterminal].size == pairs
    assert np.abs(table.q - exact.q)[exact.nonterminal].max() < 0.06


@pytest.mark.parametrize(("name", "value"), [("FrozenLake-v1", 0.542026), ("CliffWalking-v1", -12.247898)])
def test_value_iteration_finds_the_known_value_of_the_start(name: str, value: float) -> None:
    exact = solve(gymnasium.make(name), GAMMA)
    assert exact.q[exact.start].max() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(("terminated", "value"), [(True, 1.0), (False, 10.0)])
def test_only_a_terminal_state_stops_bootstrapping(terminated: bool, value: float) -> None:
    rng = np.random.default_rng(0)
    table = learn_table(OneState(terminated), (1, 1), steps=500, gamma=0.9, step_size=polynomial(0.0), rng=rng)
    assert table.q.item() == pytest.approx(value, rel=1e-9)


def test_epsilon_0_follows_the_greedy_action() -> None:
    rng = np.random.default_rng(0)
    table = learn_table(OneState(True), (1, 3), steps=50, gamma=0.9, step_size=polynomial(0.0), rng=rng, epsilon=0.0)
    assert table.visits.tolist() == [[50, 0, 0]]
