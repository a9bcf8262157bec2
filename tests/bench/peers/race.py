"""One competitor's race in one process: when it is evaluated, when it is over, and what is told of it."""

import resource
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.bench.peers.clock import TrainingClock
from tests.bench.peers.tasks import EPISODES, Task

Act = Callable[[NDArray[Any]], NDArray[Any]]
"""From observations (n, …) to greedy actions (n,)."""
EVALUATION_SEED = 2**31
"""Of the first episode; beyond the seeds of training. All evaluations play the same episodes."""


class Evaluation(msgspec.Struct, frozen=True):
    """One point of a learning curve."""

    wall_seconds: float
    environment_steps: int
    mean_return: float


class Outcome(msgspec.Struct, frozen=True):
    """One line of the results: how one competitor fared on one task with one seed."""

    task: str
    competitor: str
    seed: int
    reached: bool
    """Two evaluations in a row were over the goal."""
    wall_seconds: float
    """Up to the second of them, or to the bound."""
    cpu_seconds: float
    environment_steps: int
    updates: int
    peak_megabytes: float
    """Resident memory, of all processes together."""
    curve: list[Evaluation]
    load: float = 0.0
    """Of the machine in the minute before."""
    confirmed_seconds: float | None = None
    """Of training up to the end of the further 100 fresh episodes that ADQL plays; the others do not."""


class Race:
    """Evaluates a competitor between its steps of training."""

    def __init__(self, task: Task, act: Act) -> None:
        self._task, self._act = task, act
        self._clock = TrainingClock()
        self._next = task.evaluate_every
        self.curve: list[Evaluation] = []

    def goes_on(self, environment_steps: int) -> bool:
        """Says after ``environment_steps`` of training whether it goes on; evaluates where it is time."""
        if environment_steps >= self._next:
            self._next += self._task.evaluate_every
            with self._clock.stopped():
                mean = play(self._task, self._act)
            self.curve.append(Evaluation(round(self._clock.wall_seconds, 3), environment_steps, mean))
        return not self.reached and self._clock.wall_seconds < self._task.seconds

    @property
    def reached(self) -> bool:
        """Whether the last two evaluations were over the goal."""
        return is_reached(self._task, self.curve)

    def outcome(self, name: str, competitor: str, seed: int, environment_steps: int, updates: int) -> Outcome:
        """Returns what there is to tell now."""
        return Outcome(
            name,
            competitor,
            seed,
            self.reached,
            round(self._clock.wall_seconds, 3),
            round(self._clock.cpu_seconds, 3),
            environment_steps,
            updates,
            round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
            self.curve,
        )


def is_reached(task: Task, curve: Sequence[Evaluation]) -> bool:
    """Whether the last two evaluations of ``curve`` were over the goal, where there is one."""
    last = curve[-2:]
    return task.goal is not None and len(last) == 2 and all(one.mean_return >= task.goal for one in last)


def play(task: Task, act: Act) -> float:
    """Returns the mean return of EPISODES greedy episodes, played together."""
    environments = [task.make() for _ in range(EPISODES)]
    active = {i: environment.reset(seed=EVALUATION_SEED + i)[0] for i, environment in enumerate(environments)}
    returns = np.zeros(EPISODES)
    while active:
        actions = act(np.stack(list(active.values())))
        for i, action in zip(list(active), actions, strict=True):
            active[i], reward, terminated, truncated, _ = environments[i].step(int(action))
            returns[i] += float(reward)
            if terminated or truncated:
                del active[i]
    for environment in environments:
        environment.close()
    return float(returns.mean())
