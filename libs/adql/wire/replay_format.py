"""The arrays that travel to and from the replay service."""

import numpy as np

from adql.config import FRAME_OVERHEAD_BYTES, RunSpecification, SignatureSettings
from adql.errors import ConfigError
from adql.types import OBSERVATIONS, ArraySpec
from adql.wire.codec import ANY, ANY_OTHER
from adql.wire.replay_frames import FRAME


def transition_columns(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    """Returns name, shape and dtype of one transition's part in each column of TransitionBatch, in order.

    Of stacked observations it is the places of their frames, which stand once in ``frame_array``.
    """
    observation: tuple[tuple[int, ...], str] = (signature.observation_shape, signature.observation_dtype)
    if signature.frame_stack is not None:
        observation = ((signature.frame_stack,), "int32")
    return (
        ArraySpec("observation", *observation),
        ArraySpec("action", (), "int32"),
        ArraySpec("reward", ()),
        ArraySpec("discount", ()),
        ArraySpec("next_observation", *observation),
    )


def frame_array(signature: SignatureSettings) -> ArraySpec | None:
    """Returns name, shape and dtype of one frame; None where observations are no stacks."""
    if signature.frame_stack is None:
        return None
    return ArraySpec(FRAME, signature.observation_shape[1:], signature.observation_dtype)


def _rows(*columns: ArraySpec) -> tuple[ArraySpec, ...]:
    return tuple(ArraySpec(name, (ANY, *shape), dtype) for name, shape, dtype in columns)


def _transitions(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    columns, frame = _rows(*transition_columns(signature)), frame_array(signature)
    return columns if frame is None else (*columns, frame._replace(shape=(ANY_OTHER, *frame.shape)))


def insert_arrays(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    """Returns what an insert must hold; OPTIONAL_INSERT_ARRAYS may follow."""
    return _transitions(signature)


OPTIONAL_INSERT_ARRAYS = _rows(ArraySpec("td_error", ()))
"""Where the inserter knows the transitions' TD errors."""


def sample_arrays(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    """Returns what the answer to a sample request holds: batch after batch along the first axis."""
    return (
        *_transitions(signature),
        *_rows(ArraySpec("item_ids", (), "uint64"), ArraySpec("probabilities", (), "float64")),
    )


PRIORITY_ARRAYS = _rows(ArraySpec("item_ids", (), "uint64"), ArraySpec("td_errors", ()))
"""What new TD errors look like."""


def largest_row_bytes(signature: SignatureSettings) -> int:
    """Returns the bytes of one transition that shares no frame with another one."""
    frame = frame_array(signature)
    return _row_bytes(signature) + (0 if frame is None else _frames_a_row(signature) * _bytes(frame))


def frame_slots(specification: RunSpecification) -> int:
    """Returns how many distinct frames a table has room for beside its transitions: never more than it could need.

    0 where observations are no stacks. ``specification`` has its signature.
    """
    replay, signature = specification.replay, specification.signature
    if signature.frame_stack is None:
        return 0
    room = max(0, replay.capacity_bytes - specification.replay_capacity * _row_bytes(signature))
    most = min(_frames_a_row(signature) * specification.replay_capacity, np.iinfo(np.int32).max)
    return min(room // _slot_bytes(signature), int(most))


def check_table(specification: RunSpecification) -> None:
    """Refuses a replay table that does not fit its bytes, or that one insert could overflow.

    The step that fills a chunk may close n windows of every copy. ``specification`` has its signature.

    Raises:
        ConfigError: names the keys, what they need and the way out.
    """
    replay, signature, capacity = specification.replay, specification.signature, specification.replay_capacity
    row_bytes = _row_bytes(signature) + _slot_bytes(signature)
    if capacity * row_bytes > replay.capacity_bytes:
        raise ConfigError(
            f"replay.capacity {capacity} needs {capacity * row_bytes} bytes ({row_bytes} a transition), "
            f"replay.capacity_bytes is {replay.capacity_bytes}; lower capacity to "
            f"{replay.capacity_bytes // row_bytes} or raise capacity_bytes"
        )
    copies, n_steps = specification.environment.copies, specification.algorithm.n_steps
    largest = replay.chunk_transitions - 1 + copies * n_steps
    if largest > capacity:
        raise ConfigError(
            f"replay.capacity {capacity} is below {largest}, the largest insert (replay.chunk_transitions "
            f"{replay.chunk_transitions} - 1 + environment.copies {copies} · algorithm.n_steps {n_steps}), which would "
            f"evict its own transitions; raise capacity to {largest} or lower chunk_transitions"
        )
    if signature.frame_stack is not None:
        _check_frames(specification, largest)


def _check_frames(specification: RunSpecification, largest: int) -> None:
    """Refuses a table whose frames could fill it below min_size, where nothing would ever be sampled.

    Episodes of one step have two frames a transition, and no insert has more than its transitions can name.
    """
    replay, signature = specification.replay, specification.signature
    most = _frames_a_row(signature)
    needed = min(most * specification.replay_capacity, 2 * replay.min_size + most * largest)
    slots = frame_slots(specification)
    if slots < needed:
        needed_bytes = specification.replay_capacity * _row_bytes(signature) + needed * _slot_bytes(signature)
        raise ConfigError(
            f"replay.capacity_bytes {replay.capacity_bytes} has room for {slots} frames, replay.min_size "
            f"{replay.min_size} and the largest insert of {largest} transitions may need {needed}; raise "
            f"capacity_bytes to {needed_bytes}, or lower capacity or min_size"
        )


def _row_bytes(signature: SignatureSettings) -> int:
    return sum(_bytes(column) for column in transition_columns(signature))


def _slot_bytes(signature: SignatureSettings) -> int:
    """Of one frame in a table: with most transitions comes one new frame."""
    frame = frame_array(signature)
    return 0 if frame is None else _bytes(frame) + FRAME_OVERHEAD_BYTES


def _frames_a_row(signature: SignatureSettings) -> int:
    return len(OBSERVATIONS) * (signature.frame_stack or 0)


def _bytes(array: ArraySpec) -> int:
    return array.size * np.dtype(array.dtype).itemsize
