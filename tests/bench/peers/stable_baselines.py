"""Stable-Baselines3 or sbx: ``python -m tests.bench.peers.stable_baselines {sb3,sbx} TASK SEED``; prints its outcome.

DQN with the settings of RL Baselines3 Zoo, or those of the environment's paper where it has none; one thread.
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
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

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


class MinAtarFeatures(BaseFeaturesExtractor):  # type: ignore[misc]
    """The network of MinAtar's paper up to its output: 16 kernels of 3 × 3, then 128 units."""

    def __init__(self, space: gymnasium.spaces.Box) -> None:
        super().__init__(space, 128)
        height, width, channels = space.shape
        self._layers = nn.Sequential(
            nn.Conv2d(channels, 16, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * (height - 2) * (width - 2), 128),
            nn.ReLU(),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns features (n, 128) of images (n, height, width, channels)."""
        features: torch.Tensor = self._layers(images.permute(0, 3, 1, 2))
        return features


def make_model(package: str, task: Task, seed: int) -> Any:
    """Returns the DQN of ``package`` with the settings for ``task``."""
    found = task.zoo or task.published
    assert found is not None, f"no settings for {task.environment}"
    settings = dict(found)
    if task.published:
        settings["policy_kwargs"] = {"features_extractor_class": MinAtarFeatures, "net_arch": []}
    settings["exploration_fraction"] = settings.pop("exploration_steps") / STEPS
    dqn = importlib.import_module(package).DQN
    return dqn("MlpPolicy", task.make(), seed=seed, device="cpu", **settings)


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
