"""What a learner needs of the parameter server and of replay; a local object or a remote service may give it."""

from typing import Protocol

import numpy as np

from adql.types import Array, Float32Array, Parameters, PushAnswer, ReplaySample, RunState, TransitionBatch, Version


class ParameterSource(Protocol):
    """The parameter server, seen by one registered learner."""

    @property
    def state(self) -> RunState:
        """The run as the newest answer told it."""

    @property
    def slot(self) -> int:
        """Of the session that it has now: the lowest that was free among those that act or push as it does."""

    def pull(self, newer_than: Version | None, wait_seconds: float = 0.0) -> Parameters | None:
        """Returns newer parameters, or None if there are none after ``wait_seconds``."""

    def progress(self, environment_steps: int) -> None:
        """Reports the session's environment steps without an update."""

    def begin_push(
        self, vector: Float32Array, based_on: Version, learner_steps: int, environment_steps: int
    ) -> Float32Array:
        """Sends an update; returns it as the server reads it, rounded by the encoding, to be merged and not written.

        ``vector`` (P,) is not read after the return.

        Raises:
            InvalidUpdateError: a number does not fit the encoding; nothing was sent.
        """

    def finish_push(self) -> PushAnswer:
        """Waits for the answer to the update under way."""


class ReplaySource(Protocol):
    """The replay table, seen by one learner."""

    def insert(self, batch: TransitionBatch, wait_seconds: float = 0.0) -> bool:
        """Inserts all of ``batch``, or returns False when the table refuses for now; the next try repeats it."""

    def begin_sample(self, batches: int, batch_size: int, wait_seconds: float = 0.0) -> None:
        """Asks for ``batches`` batches."""

    def finish_sample(self) -> list[ReplaySample] | None:
        """Waits for the batches asked for; None when the table refuses for now."""

    def give_back(self, samples: list[ReplaySample]) -> None:
        """Returns batches that were not used, so that they do not count as sampled."""

    def update_priorities(self, samples: list[ReplaySample], td_errors: list[np.ndarray]) -> None:
        """Sends back the TD errors, one array (n,) a sample."""


def importance_weights(sample: ReplaySample, exponent: float) -> Array:
    """Returns (N·P(i))^−β divided by the batch's largest (1511.05952, section 3.4); float32 (n,)."""
    weights = (sample.info.table_size * sample.info.probabilities) ** -exponent
    return np.asarray(weights / weights.max(), dtype=np.float32)
