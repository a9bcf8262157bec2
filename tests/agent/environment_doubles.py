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


class Ill(Counting):
    """Gives ``reward`` and ``observation``, or raises, from step ``at`` on; step 0 is the reset."""

    def __init__(self, at: int = 2, reward: float = 0.0, observation: float = 0.0, raises: str = "") -> None:
        super().__init__(length=10)
        self._at, self._reward, self._observation, self._raises = at, reward, observation, raises

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return self._seen(observation), info

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return self._seen(observation), self._reward if self._step >= self._at else reward, *rest

    def _seen(self, observation):
        if self._raises and self._step >= self._at:
            raise {"error": RuntimeError("no\nscreen"), "end": SystemExit(7)}[self._raises]
        return np.float32([self._observation]) if self._step >= self._at else observation


class Answering(gymnasium.Env):
    """Declares ``space`` and answers what it is told to; an error among these is raised."""

    action_space = spaces.Discrete(2, start=3)

    def __init__(self, space, reset, step=None) -> None:
        self.observation_space, self._reset, self._step = space, reset, step

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._answered(self._reset)

    def step(self, action):
        assert action in self.action_space
        return self._answered(self._step)

    def _answered(self, answer):
        if isinstance(answer, Exception):
            raise answer
        return answer


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
gymnasium.register("Ill-v0", Ill)
gymnasium.register("Answering-v0", Answering, max_episode_steps=1)
gymnasium.register("Raising-v0", Raising)
gymnasium.register("Spaceless-v0", Spaceless)
gymnasium.register("Shaped-v0", Shaped)
