"""Gorila's guard (1507.04296, section 4.3): a learner drops updates whose loss is far beyond what it has been."""

import math

WARM_UP = 100
"""Losses that are seen before the first one is judged."""
DECAY = 0.999
"""Of the running mean and variance: they follow about the last thousand losses, which grow with Q itself."""


class LossGate:
    """Keeps a running mean μ and deviation σ of |loss|; lets a loss pass up to μ + ``deviations``·σ.

    A loss beyond the limit counts as the limit: a single wild one does not blind the gate to the next, and losses that
    have become larger for good raise the limit until they pass. Where all were equal, as before the first reward, σ is
    0 and nothing is judged. None lets every finite loss pass.
    """

    def __init__(self, deviations: float | None) -> None:
        self._deviations = deviations
        self._seen, self._mean, self._variance = 0, 0.0, 0.0
        self.dropped = 0
        """Losses that did not pass."""

    def admits(self, loss: float) -> bool:
        """Counts ``loss`` and says whether its update may be used; one that is not finite never is."""
        size, limit = abs(loss), self._limit()
        passes = math.isfinite(size) and size <= limit
        self.dropped += not passes
        if math.isfinite(size):
            self._count(min(size, limit))
        return passes

    def _limit(self) -> float:
        if self._deviations is None or self._seen < WARM_UP or not self._variance:
            return math.inf
        return self._mean + self._deviations * math.sqrt(self._variance)

    def _count(self, size: float) -> None:
        """Moves μ and σ² by an exponential mean that starts as a plain one (West 1979)."""
        self._seen += 1
        rate = max(1.0 / self._seen, 1.0 - DECAY)
        difference = size - self._mean
        self._mean += rate * difference
        self._variance = (1.0 - rate) * (self._variance + rate * difference * difference)
