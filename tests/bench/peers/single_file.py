"""DQN in one file of PyTorch, as textbooks have it: ``python -m tests.bench.peers.single_file TASK SEED``.

Network, optimizer and schedule have the sizes that CleanRL publishes for classic control; one process, one thread, one
environment, a batch after every tenth step. Prints its outcome as one line of JSON.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from typing import Any

import gymnasium
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.bench.peers.race import Race
from tests.bench.peers.tasks import TASKS, Task


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the algorithm; the defaults are CleanRL's for classic control."""

    convolution: int = 0
    """Channels of a 3 × 3 convolution in front, for observations (height, width, channels); 0: none."""
    hidden: tuple[int, ...] = (120, 84)
    learning_rate: float = 2.5e-4
    capacity: int = 10_000
    gamma: float = 0.99
    target_period: int = 500
    batch_size: int = 128
    final_epsilon: float = 0.05
    exploration_steps: int = 250_000
    learning_starts: int = 10_000
    train_every: int = 10


class Planes(nn.Module):
    """Puts the channels (n, height, width, channels) first, where torch wants them."""

    def forward(self, images: Tensor) -> Tensor:
        """Returns a view."""
        return images.permute(0, 3, 1, 2)


class Memory:
    """A ring of transitions."""

    def __init__(self, capacity: int, observation: NDArray[Any]) -> None:
        self._observations = np.zeros((2, capacity, *observation.shape), observation.dtype)
        self._actions = np.zeros(capacity, np.int64)
        self._rewards, self._terminated = np.zeros(capacity, np.float32), np.zeros(capacity, np.float32)
        self._count = 0

    def add(self, observation: NDArray[Any], action: int, reward: float, terminated: bool, then: NDArray[Any]) -> None:
        """Replaces the oldest."""
        i = self._count % len(self._actions)
        self._observations[:, i] = observation, then
        self._actions[i], self._rewards[i], self._terminated[i] = action, reward, terminated
        self._count += 1

    def sample(self, batch_size: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Returns observations, actions, rewards, ends and the observations after, each ``batch_size`` long."""
        rows = rng.integers(min(self._count, len(self._actions)), size=batch_size)
        columns = (self._observations[0], self._actions, self._rewards, self._terminated, self._observations[1])
        return tuple(torch.from_numpy(column[rows]) for column in columns)


class Agent:
    """Online and target network."""

    def __init__(self, environment: gymnasium.Env[Any, Any], settings: Settings) -> None:
        self._settings = settings
        shape, actions = environment.observation_space.shape or (), int(environment.action_space.n)  # type: ignore[attr-defined]
        self._online, self._target = self._make(shape, actions), self._make(shape, actions)
        self._target.load_state_dict(self._online.state_dict())
        self._optimizer = torch.optim.Adam(self._online.parameters(), lr=settings.learning_rate)
        self.updates = 0

    def act(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Returns the greedy actions (n,) for observations (n, …)."""
        with torch.no_grad():
            return np.asarray(self._online(torch.from_numpy(observations).float()).argmax(1).numpy())

    def learn(self, batch: tuple[Tensor, ...]) -> None:
        """Takes one step down the squared TD error."""
        observations, actions, rewards, terminated, then = batch
        with torch.no_grad():
            following = self._target(then.float()).max(1).values
            targets = rewards + self._settings.gamma * following * (1 - terminated)
        values = self._online(observations.float()).gather(1, actions[:, None])[:, 0]
        loss = nn.functional.mse_loss(values, targets)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.updates += 1

    def copy_target(self) -> None:
        """Makes the target network what the online one is."""
        self._target.load_state_dict(self._online.state_dict())

    def _make(self, shape: tuple[int, ...], actions: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        inputs = math.prod(shape)
        if channels := self._settings.convolution:
            layers += [Planes(), nn.Conv2d(shape[2], channels, 3), nn.ReLU(), nn.Flatten()]
            inputs = channels * (shape[0] - 2) * (shape[1] - 2)
        for width in self._settings.hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        return nn.Sequential(*layers, nn.Linear(inputs, actions))


def train(task: Task, settings: Settings, seed: int) -> tuple[Race, int, int]:
    """Returns the race, the environment steps and the updates."""
    torch.manual_seed(seed)
    rng, environment = np.random.default_rng(seed), task.make()
    observation, _ = environment.reset(seed=seed)
    agent, memory, steps = Agent(environment, settings), Memory(settings.capacity, observation), 0
    race = Race(task, agent.act)
    while race.goes_on(steps):
        epsilon = max(settings.final_epsilon, 1 - (1 - settings.final_epsilon) * steps / settings.exploration_steps)
        explores = rng.random() < epsilon
        action = int(rng.integers(environment.action_space.n)) if explores else int(agent.act(observation[None])[0])  # type: ignore[attr-defined]
        then, reward, terminated, truncated, _ = environment.step(action)
        memory.add(observation, action, float(reward), terminated, then)
        observation = environment.reset()[0] if terminated or truncated else then
        steps += 1
        if steps >= settings.learning_starts and steps % settings.train_every == 0:
            agent.learn(memory.sample(settings.batch_size, rng))
        if steps % settings.target_period == 0:
            agent.copy_target()
    return race, steps, agent.updates


def main() -> None:
    """Races and prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = TASKS[options.task]
    assert task.single_file is not None, f"no settings for {task.environment}"
    race, steps, updates = train(task, Settings(**task.single_file), options.seed)
    outcome = race.outcome(options.task, "single_file", options.seed, steps, updates)
    sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")


if __name__ == "__main__":
    main()
