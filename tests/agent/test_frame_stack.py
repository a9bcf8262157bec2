"""environment.frame_stack: what the agent observes, in training and in evaluation."""

import gymnasium
import numpy as np
import pytest

from adql.agent.environments import VectorEnvironment, make_environment, resolve
from adql.agent.evaluation import play_episodes
from adql.config import EnvironmentSettings
from adql.errors import EnvironmentUnusableError
from tests.agent.environment_doubles import Counting


class OneArray(Counting):
    """Writes every observation into the same array."""

    def __init__(self) -> None:
        super().__init__()
        self._array = np.zeros(1, np.float32)

    def reset(self, *, seed=None, options=None):
        self._array[:], info = super().reset(seed=seed)
        return self._array, info

    def step(self, action):
        self._array[:], *rest = super().step(action)
        return self._array, *rest


gymnasium.register("OneArray-v0", OneArray)


@pytest.mark.parametrize("name", ["Counting-v0", "OneArray-v0"])
def test_the_newest_frames_are_observed_and_a_reset_repeats_the_first(name):
    environment = VectorEnvironment(EnvironmentSettings(id=name, frame_stack=3), seeds=[1, 2])
    observed = [environment.reset(), *(environment.step(np.array([0, 1])).next_observation for _ in range(5))]
    assert all(each.shape == (2, 3, 1) and each.dtype == np.float32 for each in observed)
    expected = [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 0], [0, 0, 1]]
    assert [each[0, :, 0].tolist() for each in observed] == expected
    assert [each[1, :, 0].tolist() for each in observed] == expected


def test_the_signature_has_the_stacked_shape_and_keeps_the_goal():
    signature = resolve(EnvironmentSettings(frame_stack=4)).signature
    assert (signature.observation_shape, signature.frame_stack, signature.reward_threshold) == ((4, 4), 4, 475.0)
    assert resolve(EnvironmentSettings()).signature.frame_stack is None


def test_a_discrete_environment_cannot_be_stacked():
    with pytest.raises(EnvironmentUnusableError) as caught:
        make_environment(EnvironmentSettings(id="FrozenLake-v1", frame_stack=2))
    assert str(caught.value) == (
        "environment.frame_stack=2 stacks frames of a Box, and environment.id='FrozenLake-v1' has observations "
        "Discrete(16); remove environment.frame_stack"
    )


class Watching:
    """Chooses the first action and remembers what it saw."""

    def __init__(self) -> None:
        self.seen = []

    def q_values(self, vector, observations):
        self.seen.append(observations)
        return np.zeros((len(observations), 2))


def test_evaluation_sees_the_same_stacks():
    network = Watching()
    results = play_episodes(EnvironmentSettings(id="Counting-v0", frame_stack=2), network, np.zeros(1), 2, seed=1)
    assert results.lengths == (3, 3)
    assert [seen[:, :, 0].tolist() for seen in network.seen] == [[[0, 0]] * 2, [[0, 1]] * 2, [[1, 2]] * 2]
