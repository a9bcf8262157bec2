"""Small environments whose every step is known."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Counting(gymnasium.Env):
    """Observes the number of its step; ends after ``length`` steps; reward is the number of the action."""

    observation_space = spaces.Box(0, 1_000, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 3, terminates: bool = True, success: bool | None = None) -> None:
        self._length, self._terminates, self._success = length, terminates, success

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._step = 0
        return np.array([0], np.float32), {}

    def step(self, action):
        self._step += 1
        over = self._step == self._length
        info = {"is_success": self._success} if over and self._success is not None else {}
        observation = np.array([self._step], np.float32)
        return observation, float(action), over and self._terminates, over and not self._terminates, info


class FromFive(gymnasium.Env):
    """Discrete spaces that start at 5: tells the action back as its observation."""

    observation_space = spaces.Discrete(3, start=5)
    action_space = spaces.Discrete(3, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 5, {}

    def step(self, action):
        assert action in self.action_space
        return int(action), 0.0, False, False, {}


class Raising(gymnasium.Env):
    """Raises what no one expects."""

    def __init__(self) -> None:
        raise KeyError("no such level")


class Spaceless(gymnasium.Env):
    """States no spaces."""


class Shaped(Counting):
    """Says that it observes any shape and dtype."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 1, tuple(shape), np.dtype(dtype))


gymnasium.register("Counting-v0", Counting, reward_threshold=2.5)
gymnasium.register("FromFive-v0", FromFive)
gymnasium.register("Raising-v0", Raising)
gymnasium.register("Spaceless-v0", Spaceless)
gymnasium.register("Shaped-v0", Shaped)
