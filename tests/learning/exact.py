"""Exact values of a small environment by value iteration on its own transition table."""

from dataclasses import dataclass

import gymnasium
import numpy as np

from adql.types import Float64Array, IntArray


@dataclass(frozen=True)
class Exact:
    """The truth about one environment."""

    q: Float64Array
    """(states, actions): Q*."""
    nonterminal: IntArray
    """States that some policy reaches and from which episodes go on."""
    start: IntArray
    """States in which episodes begin."""


def solve(environment: gymnasium.Env, gamma: float) -> Exact:
    """Returns Q* to 1e-12 of ``environment.unwrapped.P``."""
    table = environment.unwrapped.P
    shape = (len(table), len(table[0]))
    reward, following = np.zeros(shape), np.zeros((*shape, len(table)))
    for state, actions in table.items():
        for action, outcomes in actions.items():
            for probability, next_state, r, terminated in outcomes:
                reward[state, action] += probability * r
                following[state, action, next_state] += probability * (not terminated)
    start = np.flatnonzero(environment.unwrapped.initial_state_distrib)
    return Exact(iterated(reward, gamma * following), np.flatnonzero(reached(following, start)), start)


def iterated(reward: Float64Array, discounted: Float64Array) -> Float64Array:
    """Returns the fixed point of Q = r + γ·P·max Q."""
    q, before = reward, np.full_like(reward, np.inf)
    while np.abs(q - before).max() > 1e-12:
        q, before = reward + discounted @ q.max(axis=1), q
    return q


def reached(following: Float64Array, start: IntArray) -> np.ndarray:
    """Returns (states,): true where a chain of steps, none of them terminal, leads from a start."""
    edges = following.sum(axis=1) > 0
    seen = np.isin(np.arange(len(edges)), start)
    while (wider := seen | edges[seen].any(axis=0)).sum() > seen.sum():
        seen = wider
    return seen
