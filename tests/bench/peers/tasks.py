"""What is raced: environments, goals, bounds, and the settings that each competitor has published for them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium

Settings = Mapping[str, Any]
EPISODES = 20
"""Greedy ones of an evaluation; two evaluations in a row over the goal end a race, for everybody."""


@dataclass(frozen=True, slots=True)
class Task:
    """One environment and how far to go in it."""

    environment: str
    goal: float | None
    """Greedy mean return; None makes it a race of a fixed time."""
    seconds: float
    """Of training, after which a competitor is stopped."""
    evaluate_every: int
    """Environment steps between two evaluations of a competitor; they are not counted."""
    adql: tuple[str, ...] = ()
    """Arguments of ``adql train`` besides the environment and the seed."""
    zoo: Settings | None = None
    """Settings of RL Baselines3 Zoo for DQN, taken by Stable-Baselines3 and by sbx; None: they do not take part."""
    published: Settings | None = None
    """Where the zoo has none: of the paper that made the environment, taken by Stable-Baselines3 alone."""
    single_file: Settings | None = None
    """Settings of ``single_file.Settings`` other than its own; None: it does not take part."""
    module: str | None = None
    """What registers the environment by its ``register_envs()``."""

    def make(self) -> gymnasium.Env[Any, Any]:
        """Returns the environment."""
        if self.module is not None and self.environment not in gymnasium.registry:
            importlib.import_module(self.module).register_envs()
        return gymnasium.make(self.environment)


TUNED_ZOO: Settings = {
    "learning_rate": 6.3e-4,
    "batch_size": 128,
    "buffer_size": 50_000,
    "learning_starts": 0,
    "gamma": 0.99,
    "target_update_interval": 250,
    "train_freq": 4,
    "gradient_steps": -1,
    "exploration_steps": 12_000,
    "exploration_final_eps": 0.1,
    "policy_kwargs": {"net_arch": [256, 256]},
}
"""The same for LunarLander and Acrobot."""

TASKS: Mapping[str, Task] = {
    "cartpole": Task(
        "CartPole-v1",
        goal=475.0,
        seconds=180.0,
        evaluate_every=1_000,
        zoo={
            "learning_rate": 2.3e-3,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1_000,
            "gamma": 0.99,
            "target_update_interval": 10,
            "train_freq": 256,
            "gradient_steps": 128,
            "exploration_steps": 8_000,
            "exploration_final_eps": 0.04,
            "policy_kwargs": {"net_arch": [256, 256]},
        },
        single_file={},
    ),
    "lunarlander": Task(
        "LunarLander-v3",
        goal=200.0,
        seconds=400.0,
        evaluate_every=2_000,
        adql=("presets/lunarlander.yaml",),
        zoo=TUNED_ZOO,
    ),
    "acrobot": Task(
        "Acrobot-v1",
        goal=-100.0,
        seconds=300.0,
        evaluate_every=1_000,
        zoo=TUNED_ZOO,
    ),
    "minatar": Task(
        "MinAtar/Breakout-v1",
        goal=None,
        seconds=540.0,
        evaluate_every=10_000,
        adql=("presets/minatar.yaml",),
        published={
            "learning_rate": 2.5e-4,
            "batch_size": 32,
            "buffer_size": 100_000,
            "learning_starts": 5_000,
            "gamma": 0.99,
            "target_update_interval": 1_000,
            "train_freq": 1,
            "gradient_steps": 1,
            "exploration_steps": 100_000,
            "exploration_final_eps": 0.1,
        },
        single_file={
            "convolution": 16,
            "hidden": (128,),
            "capacity": 100_000,
            "target_period": 1_000,
            "batch_size": 32,
            "final_epsilon": 0.1,
            "exploration_steps": 100_000,
            "learning_starts": 5_000,
            "train_every": 1,
        },
        module="minatar.gym",
    ),
}
"""The last one is a race of a fixed time; Young and Tian (1903.03176) published its settings."""
