"""Evaluation: greedy episodes on reserved seeds, exactly one an environment copy."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adql.agent.actor import QFunction
from adql.agent.environment_check import read_observation
from adql.agent.environment_faults import FOREIGN, check_answer, failure
from adql.agent.environments import Environment, check_signature, make_environment
from adql.config import EnvironmentSettings
from adql.types import Array


@dataclass(frozen=True, slots=True)
class EpisodeResults:
    """What n greedy episodes brought, in the order of their seeds."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    successes: tuple[bool, ...] | None
    """From ``info["is_success"]``; None where the environment does not say it."""


def play_episodes(
    settings: EnvironmentSettings,
    network: QFunction,
    vector: Array,
    episodes: int,
    seed: int,
    after_step: Callable[[], None] = lambda: None,
) -> EpisodeResults:
    """Plays ``episodes`` greedy episodes with seeds ``seed``, ``seed + 1``, … under the parameters ``vector``.

    ``after_step`` is called once all copies were stepped, so that a service can say that it lives.

    Raises:
        EnvironmentFailedError, EnvironmentUnusableError: one raised, gave a number that is not finite, or observations
            of another shape than it declares or the network reads.
    """
    with contextlib.ExitStack() as stack:
        made = (make_environment(settings) for _ in range(episodes))
        environments = [stack.enter_context(contextlib.closing(environment)) for environment in made]
        check_signature(environments[0], settings)
        plays = [_Play(settings.id, environment, seed + i) for i, environment in enumerate(environments)]
        while active := [play for play in plays if not play.over]:
            observations = np.stack([play.observation for play in active])
            actions = network.q_values(vector, observations).argmax(axis=1)
            for play, action in zip(active, actions, strict=True):
                play.step(int(action))
            after_step()
    successes = _all_known([play.success for play in plays])
    return EpisodeResults(tuple(p.total for p in plays), tuple(p.length for p in plays), successes)


def success_by_goal(said: bool | None, episode_return: float, goal: float | None) -> bool | None:
    """Returns what the environment said of an episode, else return ≥ goal, else None."""
    return said if said is not None or goal is None else episode_return >= goal


def successes_by_goal(results: EpisodeResults, goal: float | None) -> tuple[bool, ...] | None:
    """Returns the success of each episode, None where neither the environment nor a goal says it."""
    said = results.successes or (None,) * len(results.returns)
    return _all_known([success_by_goal(*episode, goal) for episode in zip(said, results.returns, strict=True)])


def _all_known(successes: Sequence[bool | None]) -> tuple[bool, ...] | None:
    known = tuple(success for success in successes if success is not None)
    return known if len(known) == len(successes) else None


class _Play:
    """One episode under way."""

    def __init__(self, name: str, environment: Environment, seed: int) -> None:
        self._name, self._environment = name, environment
        self.total, self.length, self.over = 0.0, 0, False
        self.success: bool | None = None
        try:
            observation, _ = environment.reset(seed=seed)
        except FOREIGN as error:
            raise failure(name, 0, error) from error
        self.observation = self._read(observation)

    def step(self, action: int) -> None:
        self.length += 1
        try:
            observation, reward, terminated, truncated, info = self._environment.step(action)
        except FOREIGN as error:
            raise failure(self._name, self.length, error) from error
        self.observation = self._read(observation, float(reward))
        self.total, self.over = self.total + float(reward), bool(terminated or truncated)
        if self.over and "is_success" in info:
            self.success = bool(info["is_success"])

    def _read(self, observation: object, reward: float = 0.0) -> Array:
        array = read_observation(self._name, self.length, observation, self._environment.observation_space)
        check_answer(self._name, self.length, array, reward)
        return array
