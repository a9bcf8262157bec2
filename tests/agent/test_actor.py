"""The actor: transitions, counted steps and finished episodes."""

import numpy as np

from adql.agent.accumulator import Accumulator
from adql.agent.actor import Actor, Episode
from adql.agent.environments import VectorEnvironment
from adql.config import EnvironmentSettings
from tests.agent import environment_doubles  # noqa: F401  registers the doubles


class AlwaysOne:
    """A network that prefers action 1."""

    def q_values(self, vector: np.ndarray, observations: np.ndarray) -> np.ndarray:
        return np.tile([0.0, 1.0], (len(observations), 1))


def actor(copies: int, **kwargs) -> Actor:
    environment = VectorEnvironment(EnvironmentSettings(id="Counting-v0", kwargs=kwargs), seeds=range(copies))
    return Actor(environment, AlwaysOne(), Accumulator(copies, 1, 0.9), np.random.default_rng(0))


def act(acting: Actor, steps: int, copies: int):
    return [acting.act(np.zeros(0), np.zeros(copies)) for _ in range(steps)]


def test_reset_rows_are_neither_inserted_nor_counted():
    acted = act(actor(2), steps=8, copies=2)
    assert [a.environment_steps for a in acted] == [2, 2, 2, 0, 2, 2, 2, 0]
    assert [len(a.transitions) for a in acted] == [2, 2, 2, 0, 2, 2, 2, 0]


def test_transitions_chain_within_an_episode():
    transitions = [a.transitions for a in act(actor(1), steps=3, copies=1)]
    assert [float(t.observation[0, 0]) for t in transitions] == [0, 1, 2]
    assert [float(t.next_observation[0, 0]) for t in transitions] == [1, 2, 3]
    assert np.allclose([float(t.discount[0]) for t in transitions], [0.9, 0.9, 0.0])


def test_finished_episodes_carry_return_length_and_success():
    acted = act(actor(1, success=True), steps=7, copies=1)
    episode = Episode(episode_return=3.0, length=3, epsilon=0.0, success=True)
    assert [e for a in acted for e in a.episodes] == [episode, episode]


def test_success_is_unknown_where_the_environment_does_not_say_it():
    assert [e.success for a in act(actor(1), steps=3, copies=1) for e in a.episodes] == [None]
