"""Which transitions are sampled: uniformly, or in proportion to a power of their last TD error (1511.05952)."""

from typing import Protocol

import numpy as np

from adql.replay.sum_tree import SumTree
from adql.types import Array, Float64Array, IntArray

PRIORITY_EPSILON = 1e-6
"""Added to every |TD error|, so that no transition has priority 0 and is lost to the sampler."""


class Selector(Protocol):
    """Chooses among the slots of a ring; the table says which slots are occupied."""

    def insert(self, slots: IntArray, td_errors: Array | None) -> None:
        """Makes ``slots`` (n,) eligible; ``td_errors`` (n,) where the inserter knows them."""

    def remove(self, slots: IntArray) -> None:
        """Makes ``slots`` (n,) free without giving them to new transitions."""

    def update(self, slots: IntArray, td_errors: Array) -> None:
        """Takes notice of new TD errors (n,)."""

    def sample(self, oldest: int, size: int, count: int, rng: np.random.Generator) -> tuple[IntArray, Float64Array]:
        """Draws ``count`` of the ``size`` slots from ``oldest`` on (round the ring), and each one's probability."""

    def priorities(self, slots: IntArray) -> Float64Array | None:
        """Returns what ``restore`` needs for ``slots``; None where there is nothing to keep."""

    def restore(self, slots: IntArray, priorities: Float64Array | None) -> None:
        """Makes ``slots`` eligible with ``priorities`` as they were."""

    def mean_and_largest(self, size: int) -> tuple[float, float]:
        """Returns the mean and the largest priority in a table of ``size``."""

    def check_valid(self) -> list[str]:
        """Returns what is inconsistent, a sentence each; for tests."""


class UniformSelector:
    """Every transition with the same probability."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity

    def insert(self, slots: IntArray, td_errors: Array | None) -> None:
        """Needs nothing."""

    def remove(self, slots: IntArray) -> None:
        """Needs nothing."""

    def update(self, slots: IntArray, td_errors: Array) -> None:
        """Needs nothing."""

    def sample(self, oldest: int, size: int, count: int, rng: np.random.Generator) -> tuple[IntArray, Float64Array]:
        """Draws with replacement."""
        slots = (oldest + rng.integers(size, size=count)) % self._capacity
        return slots, np.full(count, 1.0 / size)

    def priorities(self, slots: IntArray) -> Float64Array | None:
        """Returns None."""
        return None

    def restore(self, slots: IntArray, priorities: Float64Array | None) -> None:
        """Needs nothing."""

    def mean_and_largest(self, size: int) -> tuple[float, float]:
        """All are equal."""
        return 1.0, 1.0

    def check_valid(self) -> list[str]:
        """Returns nothing."""
        return []


class PrioritisedSelector:
    """P(i) = p_i / Σ p with p = (|TD error| + ε)^α; what comes without a TD error gets the largest p in the table."""

    def __init__(self, capacity: int, exponent: float) -> None:
        self._exponent = exponent
        self._tree = SumTree(capacity)
        self._largest: float | None = None  # None: to be looked up

    def insert(self, slots: IntArray, td_errors: Array | None) -> None:
        """Without ``td_errors`` the largest priority of the table, 1 while it is empty."""
        self._set(slots, np.full(len(slots), self._largest_priority()) if td_errors is None else self._power(td_errors))

    def remove(self, slots: IntArray) -> None:
        """A priority of 0 is never drawn."""
        self._set(slots, np.zeros(len(slots)))

    def update(self, slots: IntArray, td_errors: Array) -> None:
        """Of a slot that comes twice the last TD error wins."""
        self._set(slots, self._power(td_errors))

    def sample(self, oldest: int, size: int, count: int, rng: np.random.Generator) -> tuple[IntArray, Float64Array]:
        """Draws with replacement; free slots have priority 0."""
        slots = self._tree.sample(count, rng)
        return slots, self._tree.leaves[slots] / self._tree.total

    def priorities(self, slots: IntArray) -> Float64Array | None:
        """Returns p of each slot."""
        return self._tree.leaves[slots]

    def restore(self, slots: IntArray, priorities: Float64Array | None) -> None:
        """Without ``priorities`` (a table that was uniform before) all are equal."""
        self._set(slots, np.ones(len(slots)) if priorities is None else priorities)

    def mean_and_largest(self, size: int) -> tuple[float, float]:
        """Of p, the power α included."""
        return self._tree.total / max(1, size), self._largest_priority()

    def check_valid(self) -> list[str]:
        """The tree, and the remembered largest priority."""
        stale = self._largest is not None and self._largest != max(self._tree.leaves)
        return self._tree.check_valid() + (["the largest priority is not the largest leaf"] if stale else [])

    def _power(self, td_errors: Array) -> Float64Array:
        return (np.abs(td_errors.astype(np.float64)) + PRIORITY_EPSILON) ** self._exponent

    def _largest_priority(self) -> float:
        if self._largest is None:
            self._largest = float(self._tree.leaves.max()) or None
        return self._largest or 1.0

    def _set(self, slots: IntArray, priorities: Float64Array) -> None:
        """Keeps the largest priority where that is cheap, else forgets it."""
        overwritten = self._tree.leaves[slots]
        self._tree.update(slots, priorities)
        highest = self._tree.leaves[slots].max(initial=0.0)
        if self._largest is not None and highest >= self._largest:
            self._largest = highest
        elif (overwritten == self._largest).any():
            self._largest = None
