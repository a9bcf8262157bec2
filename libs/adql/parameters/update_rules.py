"""How an update changes the parameters: average, elastic, delta and gradient.

Every rule writes θ' into a buffer of its own and leaves θ alone; what it remembers between updates (momentum,
optimizer) changes with it and can be taken back until the next update.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from adql.config import AlgorithmSettings, UpdateSettings
from adql.config.effective import average_weight, outer_learning_rate
from adql.errors import CheckpointError
from adql.parameters.optimizers import make_optimizer
from adql.types import Array, Float32Array


class Step(NamedTuple):
    """What a rule has to know beside the vectors."""

    learners: int
    """Live learners, at least 1."""
    factor: float = 1.0
    """Damping of a stale update, 0 < factor ≤ 1."""
    learner_steps: int = 0
    """The run's clock, for the learning rate of ``gradient``."""


class UpdateRule(Protocol):
    """One row of the table of update rules."""

    def apply(self, current: Float32Array, update: Float32Array, result: Float32Array, step: Step) -> None:
        """Writes θ' into ``result``; all vectors are (P,), ``current`` and ``update`` are only read."""

    def undo(self) -> None:
        """Takes the last ``apply`` back, as far as the rule remembers it."""

    def state(self) -> dict[str, Array]:
        """Returns the live arrays that have to survive a restart, by name; whoever keeps them copies them."""

    def load(self, state: Mapping[str, Array]) -> None:
        """Copies ``state`` into the live arrays.

        Raises:
            CheckpointError: other names or shapes.
        """


class Stateless:
    """A rule that remembers nothing."""

    def undo(self) -> None:
        """Nothing was remembered."""

    def state(self) -> dict[str, Array]:
        """Returns no arrays."""
        return {}

    def load(self, state: Mapping[str, Array]) -> None:
        """Accepts no arrays."""
        _same_shapes({}, state)


class Average(Stateless):
    """θ' = θ + w·(θ_i − θ)."""

    def __init__(self, settings: UpdateSettings) -> None:
        self._settings = settings

    def apply(self, current: Float32Array, update: Float32Array, result: Float32Array, step: Step) -> None:
        """The update is the learner's parameters θ_i."""
        weight = step.factor * average_weight(self._settings, step.learners)
        np.subtract(update, current, out=result)
        np.multiply(result, np.float32(weight), out=result)
        np.add(result, current, out=result)


class Elastic(Stateless):
    """θ' = θ + d, never damped: the learner moves by the same d (1412.6651)."""

    def apply(self, current: Float32Array, update: Float32Array, result: Float32Array, step: Step) -> None:
        """The update is d = α(θ_i − θ), made by the learner."""
        np.add(current, update, out=result)


class Delta:
    """v' = μ·v + Δ, θ' = θ + η·(Δ + μ·v'): an asynchronous outer step with Nesterov momentum."""

    def __init__(self, settings: UpdateSettings, size: int) -> None:
        self._settings, self._momentum = settings, settings.outer_momentum
        self._velocity = np.zeros(size if self._momentum else 0, dtype=np.float32)
        self._previous = np.zeros_like(self._velocity)

    def apply(self, current: Float32Array, update: Float32Array, result: Float32Array, step: Step) -> None:
        """The update is Δ = θ_i − θ_base."""
        rate = np.float32(step.factor * outer_learning_rate(self._settings, step.learners))
        direction = self._advance(update, result) if self._momentum else update
        np.multiply(direction, rate, out=result)
        np.add(result, current, out=result)

    def _advance(self, update: Float32Array, scratch: Float32Array) -> Float32Array:
        momentum = np.float32(self._momentum)
        self._velocity, self._previous = self._previous, self._velocity
        np.multiply(self._previous, momentum, out=self._velocity)
        np.add(self._velocity, update, out=self._velocity)
        np.multiply(self._velocity, momentum, out=scratch)
        return np.add(scratch, update, out=scratch)

    def undo(self) -> None:
        """The velocity before the last update is still there."""
        self._velocity, self._previous = self._previous, self._velocity

    def state(self) -> dict[str, Array]:
        """Returns the velocity, shape (P,), or nothing without momentum."""
        return {"velocity": self._velocity} if self._momentum else {}

    def load(self, state: Mapping[str, Array]) -> None:
        """Copies the velocity."""
        _same_shapes(self.state(), state)
        if self._momentum:
            np.copyto(self._velocity, state["velocity"])


class Gradient:
    """θ' = optimizer step along a gradient; damping scales the learning rate, so after the moments."""

    def __init__(self, algorithm: AlgorithmSettings, size: int, is_table: bool) -> None:
        self._optimizer = make_optimizer(algorithm.optimizer, size)
        self._learning_rate = algorithm.learning_rate.build()
        self._max_norm = None if is_table else algorithm.max_gradient_norm
        self._clipped = np.empty(size, dtype=np.float32)
        self._before = {name: array.copy() for name, array in self._optimizer.state().items()}

    def apply(self, current: Float32Array, update: Float32Array, result: Float32Array, step: Step) -> None:
        """The update is the gradient at the version that it is based on, scaled down to the largest allowed norm."""
        for name, array in self._optimizer.state().items():
            np.copyto(self._before[name], array)
        np.copyto(result, current)
        rate = step.factor * self._learning_rate(step.learner_steps)
        self._optimizer.step(result, self._bounded(update), rate)

    def _bounded(self, gradient: Float32Array) -> Float32Array:
        norm = float(np.linalg.norm(gradient))
        # A learner clips to the same norm: its rounding must not make the server scale a second time.
        if self._max_norm is None or norm <= self._max_norm * (1.0 + 1e-5):
            return gradient
        return np.multiply(gradient, np.float32(self._max_norm / norm), out=self._clipped)

    def undo(self) -> None:
        """Puts the moments back that were there before the last step."""
        self._optimizer.load(self._before)

    def state(self) -> dict[str, Array]:
        """Returns the optimizer's live arrays."""
        return self._optimizer.state()

    def load(self, state: Mapping[str, Array]) -> None:
        """Copies the optimizer's arrays."""
        self._optimizer.load(state)


def make_update_rule(
    update: UpdateSettings, algorithm: AlgorithmSettings, size: int, *, is_table: bool = False
) -> UpdateRule:
    """Returns the rule named by ``update.rule`` for parameters of shape (size,); no table's gradient is clipped."""
    if update.rule == "average":
        return Average(update)
    if update.rule == "elastic":
        return Elastic()
    if update.rule == "delta":
        return Delta(update, size)
    return Gradient(algorithm, size, is_table)


def _same_shapes(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> None:
    wanted, found = ({name: array.shape for name, array in state.items()} for state in (ours, theirs))
    if wanted != found:
        raise CheckpointError(f"stored update rule has arrays {found}, this run's rule needs {wanted}")
