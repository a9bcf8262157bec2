"""Gradients of a network of 7 MB that learns: DQN's (Nature) on MinAtar's Breakout, drawn on 84 × 84 pixels."""

import importlib
import itertools
from typing import Any

import gymnasium
import numpy as np

from adql.agent.learner import DqnLearner
from adql.agent.networks import make_network
from adql.config import RunSpecification, load_specification
from adql.parameters.initial import initial_parameters
from adql.types import Array, Float32Array, TransitionBatch

STACK, BATCH, PLAYED, STEPS_A_GRADIENT, DISCOUNT = 4, 32, 500, 4, 0.99
BEFORE = 100
"""Gradients before those that are returned: the first ones, of a network that knows nothing, have fewer zeros."""
ACTIONS = 3
"""Those that Breakout knows."""
SIGNATURE = f"{{observation_shape: [{STACK}, 84, 84], observation_dtype: uint8, actions: {ACTIONS}}}"


def nature(*assignments: str) -> RunSpecification:
    """Returns a run of the Nature network by the rule ``gradient``, without its environment."""
    keys = ["network.kind=nature", "update.rule=gradient", f"environment.signature={SIGNATURE}"]
    return load_specification(None, [*keys, *assignments], {})


def gradients(count: int) -> list[Float32Array]:
    """Returns ``count`` gradients (P,), one after the other, after BEFORE that were applied."""
    run, rng = nature(), np.random.default_rng(0)
    assert run.environment.signature is not None
    network = make_network(run.network, run.environment.signature)
    learner = DqnLearner(network, run.algorithm, initial_parameters(network.manifest, run.network, rng))
    game, found = _Game(rng), []
    played = [game.step() for _ in range(PLAYED)]
    for number in range(BEFORE + count):
        played += [game.step() for _ in range(STEPS_A_GRADIENT)]
        columns = zip(*(played[index] for index in rng.integers(len(played), size=BATCH)), strict=True)
        gradient, result = learner.gradient(TransitionBatch(*map(np.stack, columns)), None)
        if number >= BEFORE:
            found.append(gradient.copy())
        learner.descend(gradient, result, number)
    return found


class _Game:
    """Random play, each step one transition of stacked frames."""

    def __init__(self, rng: np.random.Generator) -> None:
        importlib.import_module("minatar.gym").register_envs()
        self._rng, self._seeds = rng, itertools.count()
        self._environment = gymnasium.make("MinAtar/Breakout-v1")
        self._stack = self._begun()

    def step(self) -> tuple[Any, ...]:
        action = int(self._rng.integers(ACTIONS))
        observation, reward, over, cut_off, _ = self._environment.step(action)
        before, self._stack = self._stack, np.concatenate([self._stack[1:], _drawn(observation)])
        following = self._stack
        if over or cut_off:
            self._stack = self._begun()
        return before, np.int32(action), np.float32(reward), np.float32(DISCOUNT * (1 - over)), following

    def _begun(self) -> Array:
        observation, _ = self._environment.reset(seed=next(self._seeds))
        return np.repeat(_drawn(observation), STACK, axis=0)


def _drawn(observation: Array) -> Array:
    """Returns a frame (1, 84, 84), uint8: each of the 10 × 10 places is 8 × 8 pixels in the shade of its channel."""
    channels = observation.shape[2]
    shades = (observation * (np.arange(channels) + 1)).max(axis=2) * (255 // channels)
    return np.pad(np.kron(shades.astype(np.uint8), np.ones((8, 8), np.uint8)), 2)[None]
