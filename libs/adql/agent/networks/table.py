"""One parameter a state-action pair."""

import numpy as np
import numpy.typing as npt

from adql.types import Array, IntArray, Manifest


class TableNetwork:
    """Q(s, a) is the entry (s, a) of the table; observations are (n,) integers from 0."""

    is_table = True

    def __init__(self, manifest: Manifest, dtype: npt.DTypeLike) -> None:
        self.manifest = manifest
        self._shape = manifest.entries[0].shape
        self._gradient = np.zeros(manifest.size, dtype)
        self._rows: IntArray = np.zeros(0, np.int64)

    def q_values(self, vector: Array, observations: Array) -> Array:
        """Looks the rows up, shape (n, actions)."""
        return vector.reshape(self._shape)[observations]

    def forward(self, vector: Array, observations: Array) -> Array:
        """Looks the rows up and keeps which."""
        self._rows = observations
        return self.q_values(vector, observations)

    def backward(self, output_gradient: Array) -> Array:
        """Adds each row of ``output_gradient`` to its state's row of the gradient."""
        self._gradient.fill(0.0)
        np.add.at(self._gradient.reshape(self._shape), self._rows[: len(output_gradient)], output_gradient)
        return self._gradient
