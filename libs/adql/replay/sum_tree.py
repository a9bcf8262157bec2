"""A sum tree: draws indices in proportion to their values in O(log n), a whole batch at a time."""

import numpy as np

from adql.types import Array, Float64Array, IntArray


class SumTree:
    """``capacity`` non-negative float64 leaves, all 0 at first, and the sums above them.

    The nodes lie in one array: the root is node 1, the children of node i are 2i and 2i + 1, leaf k is node
    ``first_leaf + k``. Sums are always computed from both children, never adjusted by a difference, so rounding does
    not pile up however often a leaf changes.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._first_leaf = 1 << (capacity - 1).bit_length()
        self._nodes = np.zeros(2 * self._first_leaf)

    @property
    def total(self) -> float:
        """Sum of all leaves."""
        return float(self._nodes[1])

    @property
    def leaves(self) -> Float64Array:
        """A view of all leaves, shape (capacity,); change them by ``update`` alone."""
        return self._nodes[self._first_leaf : self._first_leaf + self._capacity]

    def update(self, indices: IntArray, values: Float64Array) -> None:
        """Sets the leaves at ``indices`` (n,) to ``values`` (n,); of an index that comes twice the last one wins.

        Raises:
            ValueError: an index out of range, or a value that is negative or not finite; nothing was changed.
        """
        if not (np.isfinite(values).all() and (values >= 0.0).all()):
            raise ValueError("the values of a sum tree must be finite and at least 0")
        if len(indices) and not (0 <= indices.min() and indices.max() < self._capacity):
            raise ValueError(f"index outside 0..{self._capacity - 1}")
        self.leaves[indices] = values
        self._sum_above(indices + self._first_leaf)

    def sample(self, count: int, rng: np.random.Generator) -> IntArray:
        """Draws ``count`` indices with replacement, each with probability value/total; never a leaf of value 0.

        Rounding may carry a target past the last positive leaf of a subtree: a step to the right is taken only where
        something lies there. The total must be positive.
        """
        targets = rng.random(count) * self.total
        nodes = np.ones(count, dtype=np.int64)
        for _ in range(self._first_leaf.bit_length() - 1):
            nodes *= 2
            left = self._nodes[nodes]
            right = (targets >= left) & (self._nodes[nodes + 1] > 0.0)
            targets -= left * right
            nodes += right
        return nodes - self._first_leaf

    def _sum_above(self, nodes: Array) -> None:
        """Renews the sums over ``nodes``; a level with fewer nodes than those is renewed whole, which is faster."""
        width, tree = self._first_leaf, self._nodes
        while width > 1:
            width //= 2
            if width > len(nodes):
                nodes = nodes >> 1
                tree[nodes] = tree[2 * nodes] + tree[2 * nodes + 1]
            else:
                tree[width : 2 * width] = tree[2 * width : 4 * width : 2] + tree[2 * width + 1 : 4 * width : 2]

    def check_valid(self) -> list[str]:
        """Returns what is inconsistent, a sentence each; for tests."""
        inner = np.arange(1, self._first_leaf)
        wrong = inner[self._nodes[inner] != self._nodes[2 * inner] + self._nodes[2 * inner + 1]]
        problems = [f"node {node} is not the sum of its children" for node in wrong]
        if not (np.isfinite(self._nodes).all() and (self._nodes >= 0.0).all()):
            problems.append("a node is negative or not finite")
        return problems
