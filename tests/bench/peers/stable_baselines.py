"""Stable-Baselines3 or sbx: ``python -m tests.bench.peers.stable_baselines {sb3,sbx} TASK SEED``; prints its outcome.

DQN with the settings of RL Baselines3 Zoo; one thread.
"""

import argparse
import importlib
import sys
from typing import Any

import gymnasium
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from tests.bench.peers.race import Race
from tests.bench.peers.tasks import TASKS, Task

PACKAGES = {"sb3": "stable_baselines3", "sbx": "sbx"}
STEPS = 10_000_000
"""More than anybody takes: the race ends training."""


class Referee(BaseCallback):  # type: ignore[misc]
    """Asks the race after each environment step; it begins with the first one."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task
        self.race: Race

    def _on_training_start(self) -> None:
        self.race = Race(self._task, self._act)

    def _on_step(self) -> bool:
        return self.race.goes_on(self.num_timesteps)

    def _act(self, observations: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.model.predict(observations, deterministic=True)[0])


def make_model(package: str, task: Task, seed: int) -> Any:
    """Returns the DQN of ``package`` with the zoo's settings for ``task``."""
    assert task.zoo is not None, f"no settings of the zoo for {task.environment}"
    settings = dict(task.zoo)
    settings["exploration_fraction"] = settings.pop("exploration_steps") / STEPS
    dqn = importlib.import_module(package).DQN
    return dqn("MlpPolicy", gymnasium.make(task.environment), seed=seed, device="cpu", **settings)


def main() -> None:
    """Races and prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("competitor", choices=PACKAGES)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = make_model(PACKAGES[options.competitor], TASKS[options.task], options.seed)
    referee = Referee(TASKS[options.task])
    model.learn(STEPS, callback=referee)
    outcome = referee.race.outcome(
        options.task, options.competitor, options.seed, model.num_timesteps, int(model._n_updates)
    )
    sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")


if __name__ == "__main__":
    main()
