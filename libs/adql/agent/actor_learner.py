"""The actor-learner: acts a chunk, then learns as much as the samples-per-insert law lets it."""

import math
from dataclasses import dataclass

import numpy as np

from adql.agent.activity import Stopwatch
from adql.agent.experience import Experience
from adql.agent.learner import DqnLearner, StepResult
from adql.agent.loss_gate import LossGate
from adql.agent.sources import ParameterSource, ReplaySource, importance_weights
from adql.agent.synchroniser import Synchroniser
from adql.config import RunSpecification
from adql.types import Array, ReplaySample

WAIT_SECONDS = 1.0
"""How long one request may wait in a server; short, so that a signal is soon heard."""


@dataclass(slots=True)
class LearningRecord:
    """What the newest batch and all of them said."""

    learner_steps: int = 0
    newest: StepResult | None = None
    outliers_dropped: int = 0


class ActorLearner:
    """One learner of both roles, assembled from collaborators that may be local or remote.

    It keeps its own account of the law: inserting n transitions earns n·samples_per_insert samples, and a refusal of
    one verb sends it to the other. The table's limiter stands above all learners.
    """

    def __init__(
        self,
        specification: RunSpecification,
        experience: Experience,
        learner: DqnLearner,
        synchroniser: Synchroniser,
        parameters: ParameterSource,
        replay: ReplaySource,
        stopwatch: Stopwatch,
    ) -> None:
        self._settings, self._batch_size = specification.replay, specification.algorithm.batch_size
        self._gradient_rule = specification.update.rule == "gradient"
        self._gate = LossGate(specification.update.outlier_deviations)
        self._importance_exponent = self._settings.importance_exponent.build()
        self._experience, self._learner, self._synchroniser = experience, learner, synchroniser
        self._parameters, self._replay, self._stopwatch = parameters, replay, stopwatch
        self._request_size = self._settings.batches_per_request * self._batch_size
        self._earned = 0.0
        self._sample_under_way = False
        self.record = LearningRecord()

    def turn(self) -> None:
        """Acts one chunk and learns what it earned; waits in a server when both verbs are refused."""
        self._experience.gather(self._learner.vector, self._parameters.state.clocks.environment_steps)
        inserted = self._experience.offer()
        self._earned += self._earnings(inserted)
        refused = inserted == 0
        while refused or self._earned >= self._request_size:
            samples = self._next_samples()
            if samples is None:
                self._earned = 0.0
                break
            refused = False
            self._learn_from(samples)
        if refused:
            self._wait_to_insert()

    def close(self) -> None:
        """Ends tidily: takes every answer under way, gives back what was not used, inserts and reports the rest."""
        if self._sample_under_way and (unused := self._finish_sample()):
            self._replay.give_back(unused)
        self._synchroniser.settle()
        self._experience.offer()
        self._parameters.progress(self._experience.environment_steps)

    def _earnings(self, inserted: int) -> float:
        ratio = self._settings.samples_per_insert
        return float(self._request_size) if ratio is None and inserted else inserted * (ratio or 0.0)

    def _next_samples(self) -> list[ReplaySample] | None:
        with self._stopwatch.on("sample"):
            samples = self._finish_sample() if self._sample_under_way else None
            if samples is None:  # nothing was asked for, or it was refused before the newest insert
                self._begin_sample()
                samples = self._finish_sample()
            if samples is not None and self._settings.prefetch:
                self._begin_sample()
        self._earned -= self._request_size if samples is not None else 0
        return samples

    def _begin_sample(self) -> None:
        self._replay.begin_sample(self._settings.batches_per_request, self._batch_size)
        self._sample_under_way = True

    def _finish_sample(self) -> list[ReplaySample] | None:
        self._sample_under_way = False
        return self._replay.finish_sample()

    def _learn_from(self, samples: list[ReplaySample]) -> None:
        learned = [(sample, self._learn(sample)) for sample in samples]
        if self._settings.sampler == "prioritised":
            with self._stopwatch.on("sample"):
                self._send_priorities([(sample, errors) for sample, errors in learned if np.isfinite(errors).all()])

    def _send_priorities(self, learned: list[tuple[ReplaySample, Array]]) -> None:
        if learned:
            self._replay.update_priorities([sample for sample, _ in learned], [errors for _, errors in learned])

    def _learn(self, sample: ReplaySample) -> Array:
        clock = self._synchroniser.learner_clock
        weights = None
        if self._settings.sampler == "prioritised":
            weights = importance_weights(sample, self._importance_exponent(clock))
        with self._stopwatch.on("gradient"):
            gradient, result = self._learner.gradient(sample.transitions, weights)
        # A step that is not finite would spoil parameters and moments for good: the batch is skipped.
        if self._gate.admits(result.loss if math.isfinite(result.gradient_norm) else math.inf):
            self._use(gradient, result, clock)
        else:
            self._synchroniser.give_up()
        self.record = LearningRecord(self.record.learner_steps + 1, result, self._gate.dropped)
        return result.td_errors

    def _use(self, gradient: Array, result: StepResult, clock: int) -> None:
        if self._gradient_rule:
            self._synchroniser.push(gradient, self._experience.environment_steps)
            return
        with self._stopwatch.on("gradient"):
            self._learner.descend(gradient, result, clock)
        self._synchroniser.after_step(self._experience.environment_steps)

    def _wait_to_insert(self) -> None:
        """Neither verb is allowed: waits in the table for room, and tells the server that this learner lives."""
        self._parameters.progress(self._experience.environment_steps)
        self._earned += self._earnings(self._experience.offer(WAIT_SECONDS))
