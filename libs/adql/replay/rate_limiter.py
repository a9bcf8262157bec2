"""The samples-per-insert law: who is too fast has to wait."""

import math

from adql.errors import ConfigError


class RateLimiter:
    """Keeps samples and inserts, both counted in transitions, at a fixed ratio.

    Below ``min_size`` transitions in the table inserts pass and nothing is sampled. From then on

        error = (inserts − min_size)·samples_per_insert − samples

    and an insert passes while it leaves error ≤ bound, a sample while it leaves error ≥ −bound, where

        bound = max(max_error, 2·request·live learners, chunk·samples_per_insert)

    with ``request`` the transitions of the largest sample request and ``chunk`` those of an insert. Because
    2·bound ≥ 2·request + chunk·samples_per_insert, at every error one side may go on, and a learner that leaves
    (which narrows the bound) never locks the others up. Batches given back after inserts used their room may leave the
    error above the bound: inserts wait for that to pass. A request whose answer was lost counts as sampled, although
    its retry is served anew: each such loss lets the error drift by one request, towards fewer samples. What the error
    says is what was handed out. ``samples_per_insert`` None: only ``min_size`` is kept.
    """

    def __init__(
        self,
        *,
        samples_per_insert: float | None,
        min_size: int,
        capacity: int,
        max_error: float,
        request: int,
        chunk: int,
    ) -> None:
        """Refuses settings that would lock up.

        Raises:
            ConfigError: names the key, the value, the bound and the way out.
        """
        if samples_per_insert is not None and not 0.0 < samples_per_insert < math.inf:
            raise ConfigError(
                f"replay.samples_per_insert {samples_per_insert} must be finite and above 0, else sampling would stop "
                "for good; raise it, or null for no limit"
            )
        if not 0.0 <= max_error < math.inf:
            raise ConfigError(f"replay.max_error {max_error} must be finite and at least 0; 0 is safe")
        if not 1 <= min_size <= capacity:
            raise ConfigError(
                f"replay.min_size {min_size} must be in 1..{capacity} (replay.capacity), else nothing would ever be "
                "sampled; lower min_size or raise capacity"
            )
        if not 1 <= chunk <= capacity:
            raise ConfigError(
                f"replay.chunk_transitions {chunk} must be in 1..{capacity} (replay.capacity), else an insert would "
                "evict its own transitions; lower chunk_transitions or raise capacity"
            )
        if request < 1:
            raise ConfigError(
                f"algorithm.batch_size · replay.batches_per_request is {request} and must be at least 1; raise both"
            )
        self._ratio, self._min_size, self._max_error = samples_per_insert, min_size, max_error
        self.request, self._chunk = request, chunk
        self.inserts = 0
        """Transitions ever inserted."""
        self.samples = 0
        """Transitions ever sampled, less those given back."""

    @property
    def error(self) -> float:
        """How many transitions the samples are behind (negative: ahead); 0 while nothing is limited."""
        if self._ratio is None or self.inserts < self._min_size:
            return 0.0
        return (self.inserts - self._min_size) * self._ratio - self.samples

    @property
    def ratio(self) -> float:
        """Samples per insert so far, counted from ``min_size`` on; 0 before the first."""
        return self.samples / max(1, self.inserts - self._min_size)

    def bound(self, learners: int, chunk: int = 0) -> float:
        """How far ``error`` may be from 0 with so many live learners and an insert of ``chunk`` transitions."""
        owed = max(self._chunk, chunk) * (self._ratio or 0.0)
        return max(self._max_error, 2.0 * self.request * max(1, learners), owed)

    def can_insert(self, count: int, size: int, learners: int) -> bool:
        """Whether ``count`` transitions may go into a table of ``size``."""
        if self._ratio is None or size < self._min_size:
            return True
        return self.error + count * self._ratio <= self.bound(learners, count)

    def can_sample(self, count: int, size: int, learners: int) -> bool:
        """Whether ``count`` transitions may be drawn from a table of ``size``."""
        if size < self._min_size:
            return False
        return self._ratio is None or self.error - count >= -self.bound(learners)
