"""The actor: follows the behaviour policy in C environment copies and hands out closed transitions."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from adql.agent.accumulator import Accumulator
from adql.agent.environments import VectorEnvironment, VectorStep
from adql.agent.exploration import epsilon_greedy
from adql.types import Array, Float64Array, TransitionBatch


class QFunction(Protocol):
    """What the actor needs of a network."""

    def q_values(self, vector: Array, observations: Array) -> Array:
        """Returns (n, actions) for ``observations`` (n, …) under the flat parameters ``vector``."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One finished training episode."""

    episode_return: float
    length: int
    epsilon: float
    success: bool | None
    """From ``info["is_success"]``; None where the environment does not say it."""


@dataclass(frozen=True, slots=True)
class Acted:
    """What one step of all copies brought."""

    transitions: TransitionBatch
    environment_steps: int
    episodes: tuple[Episode, ...]


class Actor:
    """Steps C copies together; everything random comes from ``rng`` and the copies' seeds."""

    def __init__(
        self,
        environment: VectorEnvironment,
        network: QFunction,
        accumulator: Accumulator,
        rng: np.random.Generator,
    ) -> None:
        self._environment, self._network, self._accumulator, self._rng = environment, network, accumulator, rng
        try:
            self._observation = environment.reset()
        except BaseException:  # nobody else knows of it yet
            environment.close()
            raise
        self._returns = np.zeros(len(environment))
        self._lengths = np.zeros(len(environment), dtype=np.int64)

    def act(self, vector: Array, epsilons: Float64Array) -> Acted:
        """Chooses one ε-greedy action a copy under the parameters ``vector`` and steps the environments once."""
        q_values = self._network.q_values(vector, self._observation)
        actions = epsilon_greedy(q_values, epsilons, self._rng)
        step = self._environment.step(actions)
        transitions = self._accumulator.add(
            self._observation,
            actions,
            step.reward,
            step.terminated,
            step.truncated,
            step.next_observation,
            step.valid,
        )
        self._observation = step.next_observation
        return Acted(transitions, int(step.valid.sum()), self._finished_episodes(step, epsilons))

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()

    def _finished_episodes(self, step: VectorStep, epsilons: Float64Array) -> tuple[Episode, ...]:
        self._returns += np.where(step.valid, step.reward, 0.0)
        self._lengths += step.valid
        ended = np.flatnonzero(step.valid & (step.terminated | step.truncated))
        episodes = tuple(self._episode(copy, step, epsilons) for copy in ended)
        self._returns[ended], self._lengths[ended] = 0.0, 0
        return episodes

    def _episode(self, copy: np.intp, step: VectorStep, epsilons: Float64Array) -> Episode:
        success = None if np.isnan(step.success[copy]) else bool(step.success[copy])
        return Episode(float(self._returns[copy]), int(self._lengths[copy]), float(epsilons[copy]), success)
