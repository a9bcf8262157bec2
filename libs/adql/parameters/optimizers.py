"""SGD, RMSProp, Adam and AdaGrad on one flat vector, in place.

The formulas are torch.optim's: ε is added outside the square root, Adam corrects its bias, momentum is not damped.
The vector is worked on in blocks that stay in the processor's cache, and a step allocates nothing of their size.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adql.config import OptimizerSettings
from adql.errors import CheckpointError
from adql.types import Array

BLOCK = 65_536
"""Elements worked on at a time: vector, gradient, two moments and scratch of float32 fit into 1.5 MiB."""

FLUSH_EVERY = 16
"""Steps between two searches for moments that have faded."""
FADED = 1e-30
"""Moments below it are set to 0. Where a unit is dead its gradient is 0 for good and its moment would decay into
subnormal numbers, with which arithmetic is several times slower; 16 decays from here do not get there."""


class _Now(NamedTuple):
    settings: OptimizerSettings
    rate: float
    number: int
    """Of this step, from 1."""


_Formula = Callable[[Array, Array, Sequence[Array], Array, _Now], None]
"""(vector, gradient, moments, scratch (2, n), now) of one block; changes the vector and the moments."""


def make_optimizer(settings: OptimizerSettings, size: int, dtype: npt.DTypeLike = np.float32) -> "Optimizer":
    """Returns the optimizer that ``settings`` name, for a vector of shape (size,) and ``dtype``."""
    formula, moments = {
        "sgd": (_momentum, ("velocity",)) if settings.momentum else (_sgd, ()),
        "rmsprop": (_centered, ("mean_square", "mean")) if settings.centered else (_rmsprop, ("mean_square",)),
        "adam": (_adam, ("mean", "mean_square")),
        "adagrad": (_adagrad, ("sum_square",)),
    }[settings.kind]
    return Optimizer(settings, formula, moments, size, dtype)


class Optimizer:
    """Changes parameters by a gradient and keeps the moments that its formula needs."""

    def __init__(
        self, settings: OptimizerSettings, formula: _Formula, moments: Sequence[str], size: int, dtype: npt.DTypeLike
    ) -> None:
        self._settings, self._formula = settings, formula
        self._moments = {name: np.zeros(size, dtype) for name in moments}
        self._step = np.zeros(1, np.int64)
        self._scratch = np.empty((2, min(BLOCK, size)), dtype)
        self._blocks = [slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK)]

    def step(self, vector: Array, gradient: Array, learning_rate: float) -> None:
        """Changes ``vector`` (P,) in place; ``gradient`` (P,) is only read."""
        self._step += 1
        # A numpy float64 scalar would turn float32 arithmetic into float64.
        now = _Now(self._settings, float(learning_rate), int(self._step[0]))
        for block in self._blocks:
            moments = [moment[block] for moment in self._moments.values()]
            scratch = self._scratch[:, : block.stop - block.start]
            self._formula(vector[block], gradient[block], moments, scratch, now)
            if now.number % FLUSH_EVERY == 0:
                _flush(moments)

    def state(self) -> dict[str, Array]:
        """Returns the live arrays by name, ``step`` (1,) int64 among them; whoever keeps them copies them."""
        return {**self._moments, "step": self._step}

    def load(self, state: Mapping[str, Array]) -> None:
        """Copies ``state`` into the live arrays.

        Raises:
            CheckpointError: other names or shapes; nothing was changed.
        """
        live = self.state()
        needed, given = ({name: array.shape for name, array in arrays.items()} for arrays in (live, state))
        if needed != given:
            raise CheckpointError(
                f"optimizer state holds {given}, {self._settings.kind} needs {needed}; load a state of the same run"
            )
        for name, array in live.items():
            np.copyto(array, state[name])


def _flush(moments: Sequence[Array]) -> None:
    for moment in moments:
        moment[np.abs(moment) < FADED] = 0.0


def _sgd(vector: Array, gradient: Array, moments: Sequence[Array], scratch: Array, now: _Now) -> None:
    vector -= np.multiply(gradient, now.rate, out=scratch[0])


def _momentum(vector: Array, gradient: Array, moments: Sequence[Array], scratch: Array, now: _Now) -> None:
    (velocity,) = moments
    velocity *= now.settings.momentum
    velocity += gradient
    vector -= np.multiply(velocity, now.rate, out=scratch[0])


def _rmsprop(vector: Array, gradient: Array, moments: Sequence[Array], scratch: Array, now: _Now) -> None:
    (mean_square,) = moments
    _running_mean_of_squares(mean_square, gradient, now.settings.decay, scratch[0])
    _descend(vector, gradient, np.sqrt(mean_square, out=scratch[0]), now.settings.epsilon, now.rate)


def _centered(vector: Array, gradient: Array, moments: Sequence[Array], scratch: Array, now: _Now) -> None:
    mean_square, mean = moments
    _running_mean_of_squares(mean_square, gradient, now.settings.decay, scratch[0])
    _running_mean(mean, gradient, now.settings.decay, scratch[0])
    variance = np.subtract(mean_square, np.square(mean, out=scratch[1]), out=scratch[0])
    # Rounding can leave the variance of a steady gradient just below zero.
    np.maximum(variance, 0.0, out=variance)
    _descend(vector, gradient, np.sqrt(variance, out=variance), now.settings.epsilon, now.rate)


def _adam(vector: Array, gradient: Array, moments: Sequence[Array], scratch: Array, now: _Now) -> None:
    mean, mean_square = moments
    s = now.settings
    _running_mean(mean, gradient, s.beta1, scratch[0])
    _running_mean_of_squares(mean_square, gradient, s.beta2, scratch[0])
    # Both bias corrections are drawn out of the vectors: m̂/(√v̂ + ε) = √c₂/c₁ · m/(√v + ε√c₂), c = 1 − βᵗ.
    correction1, correction2 = 1.0 - s.beta1**now.number, (1.0 - s.beta2**now.number) ** 0.5
    deviation = np.sqrt(mean_square, out=scratch[0])
    _descend(vector, mean, deviation, s.epsilon * correction2, now.rate * correction2 / correction1)


def _adagrad(vector: Array, gradient: Array, moments: Sequence[Array], scratch: Array, now: _Now) -> None:
    (sum_square,) = moments
    sum_square += np.square(gradient, out=scratch[0])
    _descend(vector, gradient, np.sqrt(sum_square, out=scratch[0]), now.settings.epsilon, now.rate)


def _running_mean(mean: Array, value: Array, decay: float, scratch: Array) -> None:
    mean *= decay
    mean += np.multiply(value, 1.0 - decay, out=scratch)


def _running_mean_of_squares(mean: Array, value: Array, decay: float, scratch: Array) -> None:
    mean *= decay
    np.square(value, out=scratch)
    scratch *= 1.0 - decay
    mean += scratch


def _descend(vector: Array, direction: Array, root: Array, epsilon: float, rate: float) -> None:
    """Subtracts rate · direction / (root + ε) from ``vector``; ``root`` is used up."""
    root += epsilon
    np.divide(direction, root, out=root)
    root *= rate
    vector -= root
