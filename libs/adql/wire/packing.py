"""An array on a slow link: its bytes in planes, compressed; lossless, and the same bytes each time.

The first bytes of all numbers, then the second ones, and so on: signs and exponents are alike and zeros lie together.
"""

import numpy as np

from adql.compression import compress, decompress
from adql.types import Array
from adql.wire.codec import dtype_of


def pack(array: Array) -> Array:
    """Returns the numbers of ``array`` (P,) as compressed bytes (n,), uint8."""
    planes = np.ascontiguousarray(array.view(np.uint8).reshape(len(array), array.dtype.itemsize).T)
    return np.frombuffer(compress(planes.data), np.uint8)


def unpack(packed: Array, size: int, dtype: str) -> Array:
    """Returns what ``pack`` was given: ``size`` numbers of ``dtype``.

    Raises:
        MalformedBodyError: ``packed`` holds anything else; nothing larger was allocated.
    """
    kind = dtype_of(dtype)
    planes = np.frombuffer(decompress(packed.data, size * kind.itemsize), np.uint8).reshape(kind.itemsize, size)
    return np.ascontiguousarray(planes.T).reshape(-1).view(kind)
