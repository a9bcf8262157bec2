import numpy as np
import pytest

from adql.errors import CheckpointError, ConfigError
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


def test_other_configuration_is_refused_with_the_key_that_a_command_line_and_values_of_the_chart_have(state):
    with pytest.raises(ConfigError, match=r"gamma was 0.99, now 0.5; .* run\.name \(.*, run\.run\.name in the ch"):
        state.record.identity.check(tiny_specification(update={"rule": "gradient"}, algorithm={"gamma": 0.5}))


def test_missing_or_torn_field_is_refused(state):
    for name in blobs_of(state):
        for damage in (lambda b: b[:-1], lambda b: b""):
            torn = blobs_of(state)
            torn[name] = damage(torn[name])
            with pytest.raises(CheckpointError):
                State.from_blobs(state.mark, torn)
        absent = blobs_of(state)
        del absent[name]
        with pytest.raises(CheckpointError):
            State.from_blobs(state.mark, absent)


def test_one_flipped_bit_in_any_field_is_refused_and_the_way_out_named(state):
    for name, blob in blobs_of(state).items():
        for position in range(0, len(blob), 7):
            flipped = bytearray(blob)
            flipped[position] ^= 1
            with pytest.raises(CheckpointError, match=r"damaged.*adql restore DIR|has format"):
                State.from_blobs(state.mark, blobs_of(state) | {name: bytes(flipped)})


def test_state_under_another_mark_is_refused(state):
    with pytest.raises(CheckpointError, match="'mark' does not hold"):
        State.from_blobs(state.mark._replace(number=state.mark.number + 1), blobs_of(state))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused(state, value):
    poisoned = State(state.mark, np.full_like(state.parameters, value), state.arrays, state.record)
    with pytest.raises(CheckpointError, match=r"not finite.*adql restore DIR"):
        State.from_blobs(state.mark, blobs_of(poisoned))


def test_other_format_is_refused_by_number(state):
    blobs = blobs_of(state)
    blobs["record"] = blobs["record"].replace(b'"format":2', b'"format":3')
    with pytest.raises(CheckpointError, match="format 3, this release reads 2"):
        State.from_blobs(state.mark, blobs)


def test_pickle_is_not_read(state):
    blobs = blobs_of(state) | {"record": b"\x80\x04cos\nsystem\n."}
    with pytest.raises(CheckpointError, match="damaged"):
        State.from_blobs(state.mark, blobs)
