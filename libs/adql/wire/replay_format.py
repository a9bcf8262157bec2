"""The arrays that travel to and from the replay service."""

import numpy as np

from adql.config import FRAME_OVERHEAD_BYTES, RunSpecification, SignatureSettings
from adql.errors import ConfigError
from adql.frames import FRAME, FRAME_BYTES, longest_packed
from adql.types import OBSERVATIONS, ArraySpec
from adql.wire.codec import ANY, ANY_OTHER, ANY_THIRD


def transition_columns(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    """Returns name, shape and dtype of one transition's part in each column of TransitionBatch, in order.

    Of stacked observations it is the places of their frames, each of which is a ``frame_array``.
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


_FRAMES = (ArraySpec(FRAME_BYTES, (ANY_OTHER,), "int32"), ArraySpec(FRAME, (ANY_THIRD,), "uint8"))


def _rows(*columns: ArraySpec) -> tuple[ArraySpec, ...]:
    return tuple(ArraySpec(name, (ANY, *shape), dtype) for name, shape, dtype in columns)


def _transitions(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    columns = _rows(*transition_columns(signature))
    return columns if signature.frame_stack is None else (*columns, *_FRAMES)


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
    return _row_bytes(signature) + _frames_a_row(signature) * _largest_frame_bytes(signature)


def frame_room(specification: RunSpecification) -> int:
    """Returns the bytes that a table has for frames beside its transitions; ``specification`` has its signature."""
    replay, signature = specification.replay, specification.signature
    return max(0, replay.capacity_bytes - specification.replay_capacity * _row_bytes(signature))


def check_table(specification: RunSpecification) -> None:
    """Refuses a replay table that does not fit its bytes, or that one insert could overflow.

    The step that fills a chunk may close n windows of every copy. ``specification`` has its signature.

    Raises:
        ConfigError: names the keys, what they need and the way out.
    """
    replay, signature, capacity = specification.replay, specification.signature, specification.replay_capacity
    row_bytes = _row_bytes(signature)
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

    At worst no frame can be compressed. Episodes of one step have two frames a transition, and no insert has more than
    its transitions can name.
    """
    replay, signature, capacity = specification.replay, specification.signature, specification.replay_capacity
    most = _frames_a_row(signature)
    frames = min(most * capacity, 2 * replay.min_size + most * largest)
    needed, room = frames * (_largest_frame_bytes(signature) + FRAME_OVERHEAD_BYTES), frame_room(specification)
    if room < needed:
        raise ConfigError(
            f"replay.capacity_bytes {replay.capacity_bytes} leaves {room} bytes for frames, replay.min_size "
            f"{replay.min_size} and the largest insert of {largest} transitions may need {needed}; raise "
            f"capacity_bytes to {capacity * _row_bytes(signature) + needed}, or lower capacity or min_size"
        )


def _row_bytes(signature: SignatureSettings) -> int:
    return sum(_bytes(column) for column in transition_columns(signature))


def _largest_frame_bytes(signature: SignatureSettings) -> int:
    """Of a frame that cannot be compressed, and its length."""
    frame = frame_array(signature)
    return 0 if frame is None else longest_packed(frame) + 4


def _frames_a_row(signature: SignatureSettings) -> int:
    return len(OBSERVATIONS) * (signature.frame_stack or 0)


def _bytes(array: ArraySpec) -> int:
    return array.size * np.dtype(array.dtype).itemsize
