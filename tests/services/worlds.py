"""An environment that is slow, hangs, raises, and says in a file what it did; for processes that tests start."""

import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces


class World(gymnasium.Env):
    """Takes ``seconds`` a step, in which it swallows every Exception; raises at step ``ill``; 0 is its reset."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, file: str, seconds: float = 0.0, ill: int | None = None) -> None:
        self._file, self._seconds, self._ill, self._step = Path(file), seconds, ill, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._say("reset")
        return self._seen(), {}

    def step(self, action):
        self._step += 1
        self._say("step")
        try:
            time.sleep(self._seconds)
        except Exception as error:
            self._say(repr(error))
        return self._seen(), 1.0, False, False, {}

    def close(self):
        self._say("closed")

    def _say(self, word):
        with self._file.open("a") as file:
            file.write(f"{word}\n")

    def _seen(self):
        if self._step == self._ill:
            raise RuntimeError("out of order")
        return np.zeros(1, np.float32)


gymnasium.register("World-v0", World, max_episode_steps=1_000)
