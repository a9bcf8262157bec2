"""Vectors that are never written while anybody can still see them."""

import weakref
from collections import deque

import numpy as np

from adql.types import Float32Array


class VectorPool:
    """Hands out buffers for the next version and takes back those that no reader holds any more.

    A published vector goes to sockets, commits and checkpoints at their own pace. Its memory returns to the pool when
    the last array, slice or memoryview over it is gone, so that a new version neither waits, copies nor allocates.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: deque[memoryview] = deque()

    def spare(self) -> Float32Array:
        """Returns a writable vector of shape (size,) with any content, which nobody else sees."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._size, dtype=np.float32).data
        return self._lend(memory)

    def _lend(self, memory: memoryview) -> Float32Array:
        # numpy gives slices the first *array* as their base: over a bare memoryview that array is this one, so it
        # lives as long as any of them.
        vector = np.frombuffer(memory, dtype=np.float32)
        weakref.finalize(vector, self._free.append, memory).atexit = False
        return vector


def publish(vector: Float32Array) -> Float32Array:
    """Makes ``vector`` read-only for good and returns it."""
    vector.flags.writeable = False
    return vector
