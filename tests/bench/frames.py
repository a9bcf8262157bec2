"""Transitions of stacked frames as a learner's copies make them."""

import itertools
from collections.abc import Iterator

import numpy as np

from adql.agent.accumulator import Accumulator
from adql.types import Array, TransitionBatch

SIDE, STACK, COPIES, N_STEPS, EPISODE, CHUNK = 84, 4, 8, 3, 200, 64


def chunks(count: int) -> list[TransitionBatch]:
    """Returns ``count`` chunks of 64 transitions or a few more; each frame is noise of its own."""
    steps, made = _steps(np.random.default_rng(1)), []
    for _ in range(count):
        gathered = [next(steps)]
        while sum(map(len, gathered)) < CHUNK:
            gathered.append(next(steps))
        made.append(TransitionBatch.concatenate(gathered))
    return made


def _steps(rng: np.random.Generator) -> Iterator[TransitionBatch]:
    """Yields what each step of all copies closes; every episode ends after EPISODE steps."""
    accumulator, zeros = Accumulator(COPIES, N_STEPS, 0.99), np.zeros(COPIES)
    observation = np.repeat(_newest(rng), STACK, axis=1)
    for step in itertools.count(1):
        over, newest = np.full(COPIES, step % EPISODE == 0), _newest(rng)
        following = np.concatenate([observation[:, 1:], newest], axis=1)
        yield accumulator.add(observation, zeros, zeros, over, over & False, following, over | True)
        observation = np.repeat(_newest(rng), STACK, axis=1) if over[0] else following


def _newest(rng: np.random.Generator) -> Array:
    return rng.integers(0, 256, (COPIES, 1, SIDE, SIDE), np.uint8)
