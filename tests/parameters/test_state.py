import numpy as np
import pytest

from adql.errors import CheckpointError
from adql.parameters.state import State
from tests.parameters.servers import commit, owning_server, push_many, tiny_specification


@pytest.fixture
def state():
    server = owning_server(tiny_specification(update={"rule": "gradient"}))
    push_many(server, server.register("both").identifier, 3)
    return commit(server)


def blobs_of(state) -> dict[str, bytes]:
    return {name: bytes(blob) for name, blob in state.blobs().items()}


def test_state_reads_back_what_was_written(state):
    read = State.from_blobs(state.mark, blobs_of(state))
    assert (read.mark, read.record) == (state.mark, state.record)
    np.testing.assert_array_equal(read.parameters, state.parameters)
    assert set(read.arrays) == set(state.arrays)
    for name, array in state.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
        assert (read.arrays[name].dtype, read.arrays[name].shape) == (array.dtype, array.shape)


def test_arrays_are_written_raw_and_uncopied(state):
    blob = state.blobs()["parameters"]
    assert np.shares_memory(np.frombuffer(blob, np.float32), state.parameters)


def test_missing_or_torn_field_is_refused(state):
    for name in blobs_of(state):
        for damage in (lambda b: b[:-1], lambda b: b""):
            torn = blobs_of(state)
            torn[name] = damage(torn[name])
            if name != "parameters" or len(torn[name]) % 4:
                with pytest.raises(CheckpointError):
                    State.from_blobs(state.mark, torn)
        absent = blobs_of(state)
        del absent[name]
        with pytest.raises(CheckpointError):
            State.from_blobs(state.mark, absent)


def test_other_format_is_refused_by_number(state):
    blobs = blobs_of(state)
    blobs["record"] = blobs["record"].replace(b'"format":1', b'"format":2')
    with pytest.raises(CheckpointError, match="format 2, this release reads 1"):
        State.from_blobs(state.mark, blobs)


def test_pickle_is_not_read(state):
    blobs = blobs_of(state) | {"record": b"\x80\x04cos\nsystem\n."}
    with pytest.raises(CheckpointError, match="damaged"):
        State.from_blobs(state.mark, blobs)
