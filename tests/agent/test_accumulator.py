"""The accumulator: n-step rewards, discounts, ends of episodes, reset rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adql.agent.accumulator import Accumulator
from adql.types import TransitionBatch

GAMMA = 0.5


def one_step(accumulator: Accumulator, s: int, reward: float, terminated=False, truncated=False, valid=True):
    """Steps a single copy from observation ``s`` to ``s + 1`` with action ``s % 2``."""
    return accumulator.add(
        np.array([[s]], np.float32),
        np.array([s % 2]),
        np.array([reward]),
        np.array([terminated]),
        np.array([truncated]),
        np.array([[s + 1]], np.float32),
        np.array([valid]),
    )


def rows(batch: TransitionBatch) -> list[tuple[float, int, float, float, float]]:
    """Returns (s, a, reward, discount, s') of each transition, oldest window first."""
    columns = (batch.observation[:, 0], batch.action, batch.reward, batch.discount, batch.next_observation[:, 0])
    return sorted(tuple(float(c[i]) for c in columns) for i in range(len(batch)))


def test_one_step_transitions_come_out_at_once_with_discount_gamma():
    assert rows(one_step(Accumulator(1, 1, GAMMA), 3, 2.0)) == [(3, 1, 2.0, 0.5, 4)]


def test_termination_makes_the_discount_zero():
    assert rows(one_step(Accumulator(1, 1, GAMMA), 3, 2.0, terminated=True)) == [(3, 1, 2.0, 0.0, 4)]


def test_truncation_still_bootstraps():
    assert rows(one_step(Accumulator(1, 1, GAMMA), 3, 2.0, truncated=True)) == [(3, 1, 2.0, 0.5, 4)]


def test_three_step_window_sums_discounted_rewards():
    accumulator = Accumulator(1, 3, GAMMA)
    assert [len(one_step(accumulator, s, 1.0)) for s in (0, 1)] == [0, 0]
    assert rows(one_step(accumulator, 2, 1.0)) == [(0, 0, 1.75, 0.125, 3)]
    assert rows(one_step(accumulator, 3, 4.0)) == [(1, 1, 1.0 + 0.5 + 1.0, 0.125, 4)]


@pytest.mark.parametrize(("end", "alive"), [("terminated", 0.0), ("truncated", 1.0)])
def test_an_end_flushes_every_open_window_with_its_own_discount(end: str, alive: float):
    accumulator = Accumulator(1, 3, GAMMA)
    one_step(accumulator, 0, 1.0)
    flushed = rows(one_step(accumulator, 1, 1.0, **{end: True}))
    assert flushed == [(0, 0, 1.5, 0.25 * alive, 2), (1, 1, 1.0, 0.5 * alive, 2)]


def test_reset_row_makes_no_transition_and_joins_no_window():
    accumulator = Accumulator(1, 2, GAMMA)
    one_step(accumulator, 0, 1.0, terminated=True)
    assert len(one_step(accumulator, 7, 100.0, valid=False)) == 0
    assert len(one_step(accumulator, 10, 1.0)) == 0
    assert rows(one_step(accumulator, 11, 2.0)) == [(10, 0, 2.0, 0.25, 12)]


@given(
    n=st.integers(1, 4),
    steps=st.lists(st.tuples(st.integers(-5, 5), st.sampled_from(["go", "terminated", "truncated"])), max_size=30),
)
def test_every_step_opens_one_window_whose_reward_is_the_discounted_sum(n: int, steps: list[tuple[int, str]]):
    accumulator, produced = Accumulator(1, n, GAMMA), []
    for s, (reward, end) in enumerate(steps):
        ends = {} if end == "go" else {end: True}
        produced += rows(one_step(accumulator, s, float(reward), **ends))
    for s, _, reward, discount, next_s in produced:
        window = steps[int(s) : int(next_s)]
        assert reward == sum(GAMMA**i * r for i, (r, _) in enumerate(window))
        assert discount == (0.0 if window[-1][1] == "terminated" else GAMMA ** len(window))
        assert all(end == "go" for _, end in window[:-1])
    closed = {int(row[0]) for row in produced}
    assert set(range(len(steps))) - closed == set(range(len(steps) - len(open_at_the_end(steps, n)), len(steps)))


def open_at_the_end(steps: list[tuple[int, str]], n: int) -> list[tuple[int, str]]:
    """The trailing steps whose window is neither full nor ended."""
    tail = []
    for step in reversed(steps):
        if step[1] != "go" or len(tail) == n - 1:
            break
        tail.append(step)
    return tail


def test_copies_do_not_mix():
    accumulator = Accumulator(2, 2, GAMMA)
    observation = np.array([[0.0], [100.0]])
    common = {"action": np.array([0, 1]), "truncated": np.zeros(2, bool), "valid": np.ones(2, bool)}
    accumulator.add(observation, reward=np.array([1.0, 10.0]), terminated=np.zeros(2, bool),
                    next_observation=observation + 1, **common)  # fmt: skip
    batch = accumulator.add(observation + 1, reward=np.array([2.0, 20.0]), terminated=np.array([False, True]),
                            next_observation=observation + 2, **common)  # fmt: skip
    assert rows(batch) == [(0, 0, 2.0, 0.25, 2), (100, 1, 20.0, 0.0, 102), (101, 1, 20.0, 0.0, 102)]
