import gc

import numpy as np
import pytest

from adql.parameters.buffers import VectorPool, publish


def test_published_vector_cannot_be_written():
    vector = publish(VectorPool(4).spare())
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1


def test_memory_comes_back_when_the_last_reader_is_gone():
    pool = VectorPool(4)
    vector = pool.spare()
    address = vector.ctypes.data
    del vector
    assert pool.spare().ctypes.data == address


@pytest.mark.parametrize(
    "hold",
    [
        lambda vector: vector,
        lambda vector: vector[1:3],
        lambda vector: vector[1:][1:],
        lambda vector: vector.reshape(2, 2).T,
        lambda vector: vector.view(np.uint8).data,
        lambda vector: memoryview(vector)[1:],
    ],
)
def test_memory_is_never_reused_while_any_view_is_held(hold):
    pool = VectorPool(4)
    vector = pool.spare()
    address = vector.ctypes.data
    held = hold(publish(vector))
    del vector
    gc.collect()
    assert pool.spare().ctypes.data != address
    del held
