"""The learner: gradient steps of (double) DQN on one flat vector, and the target network beside it."""

import math
from dataclasses import dataclass

import numpy as np

from adql.agent import losses
from adql.agent.networks import Network
from adql.config import AlgorithmSettings
from adql.parameters.optimizers import make_optimizer
from adql.types import Array, TransitionBatch


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one batch said."""

    td_errors: Array
    """(n,) before the step; new priorities are made of them."""
    loss: float
    mean_q: float
    """Mean of Q(s, a) over the batch's states and all actions."""
    max_q: float
    gradient_norm: float
    """Euclidean, before clipping; not finite where the batch was not applied."""


class DqnLearner:
    """Owns the online vector θ, the target vector θ' and a local optimizer.

    A dense network minimises the mean weighted Huber loss. A table takes squared errors pair by pair
    (``losses.table_gradient``): with plain SGD every step is the exact tabular law, so neither ``huber_delta`` nor
    ``max_gradient_norm`` applies to it.
    """

    def __init__(self, network: Network, algorithm: AlgorithmSettings, vector: Array) -> None:
        self.vector = vector.copy()
        """θ (P,): changed in place by ``step``; the caller writes merged or pulled parameters into it."""
        self.target_vector = vector.copy()
        """θ' (P,): starts as θ."""
        self._network, self._algorithm = network, algorithm
        self._optimizer = make_optimizer(algorithm.optimizer, len(vector), vector.dtype)
        self._learning_rate = algorithm.learning_rate.build()
        self._scratch = np.empty_like(vector)

    def step(self, batch: TransitionBatch, weights: Array | None, learner_clock: int) -> StepResult:
        """Takes one local step on ``batch`` with importance ``weights`` (n,); ``learner_clock`` is the run's.

        A gradient that is not finite changes neither parameters nor moments.
        """
        gradient, result = self.gradient(batch, weights)
        self.descend(gradient, result, learner_clock)
        return result

    def descend(self, gradient: Array, result: StepResult, learner_clock: int) -> None:
        """Applies what ``gradient`` returned with the local optimizer, unless it is not finite."""
        if math.isfinite(result.gradient_norm):
            self._optimizer.step(self.vector, gradient, self._learning_rate(learner_clock))

    def gradient(self, batch: TransitionBatch, weights: Array | None) -> tuple[Array, StepResult]:
        """Returns the clipped gradient (P,) at θ and what the batch said; the next call overwrites the gradient."""
        q, errors = self._evaluated(batch)
        weights = None if weights is None else np.asarray(weights, self.vector.dtype)
        loss, output_gradient = self._loss(batch, q.shape[1], errors, weights)
        gradient = self._network.backward(output_gradient)
        norm = self._clipped(gradient)
        return gradient, StepResult(errors, loss, float(q.mean()), float(q.max()), norm)

    def advance_target(self, steps_before: float, steps_after: float, server_vector: Array) -> None:
        """Moves θ' on from one reading of its clock (``target_clock``) to the next; back is no movement.

        Soft: θ' ← θ' + (1 − (1 − τ)^Δ)(θ − θ'), Δ being the steps between. Periodic: θ' ← ``server_vector`` (P,), just
        pulled, if a multiple of the period was crossed.
        """
        target, steps = self._algorithm.target, steps_after - steps_before
        if steps <= 0:
            return
        if target.kind == "soft":
            np.subtract(self.vector, self.target_vector, out=self._scratch)
            self._scratch *= 1.0 - (1.0 - target.tau) ** steps
            self.target_vector += self._scratch
        elif steps_after // target.period_learner_steps > steps_before // target.period_learner_steps:
            np.copyto(self.target_vector, server_vector)

    def _evaluated(self, batch: TransitionBatch) -> tuple[Array, Array]:
        """Returns Q(s, ·) (n, A) and the TD errors (n,), the network ready for ``backward``."""
        rows = len(batch)
        next_q_target = self._network.q_values(self.target_vector, batch.next_observation)
        observations, next_q_online = batch.observation, None
        if self._algorithm.double:
            # s and s' in one pass: one matrix product of 2n rows costs less than two of n.
            observations = np.concatenate((batch.observation, batch.next_observation))
        q = self._network.forward(self.vector, observations)
        if self._algorithm.double:
            q, next_q_online = q[:rows], q[rows:]
        targets = losses.td_targets(batch.reward, batch.discount, next_q_target, next_q_online, batch.next_mask)
        return q, losses.td_errors(q, batch.action, targets)

    def _loss(self, batch: TransitionBatch, actions: int, errors: Array, weights: Array | None) -> tuple[float, Array]:
        if self._network.is_table:
            gradient = losses.table_gradient(errors, batch.observation, batch.action, actions, weights)
            return losses.table_loss(errors, weights), gradient
        delta = self._algorithm.huber_delta
        gradient = losses.huber_gradient(errors, batch.action, actions, weights, delta)
        return losses.huber_loss(errors, weights, delta), gradient

    def _clipped(self, gradient: Array) -> float:
        """Scales ``gradient`` down to the largest norm in place; returns its norm before."""
        norm, bound = math.sqrt(np.dot(gradient, gradient)), self._algorithm.max_gradient_norm
        if bound is not None and norm > bound and not self._network.is_table:
            gradient *= bound / norm
        return norm
