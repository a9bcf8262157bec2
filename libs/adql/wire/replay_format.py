"""The arrays that travel to and from the replay service."""

import numpy as np

from adql.config import RunSpecification, SignatureSettings
from adql.errors import ConfigError
from adql.types import ArraySpec
from adql.wire.codec import ANY


def transition_columns(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    """Returns name, shape and dtype of one transition's part in each column of TransitionBatch, in order."""
    observation = (signature.observation_shape, signature.observation_dtype)
    return (
        ArraySpec("observation", *observation),
        ArraySpec("action", (), "int32"),
        ArraySpec("reward", ()),
        ArraySpec("discount", ()),
        ArraySpec("next_observation", *observation),
    )


def _rows(*columns: ArraySpec) -> tuple[ArraySpec, ...]:
    return tuple(ArraySpec(name, (ANY, *shape), dtype) for name, shape, dtype in columns)


def insert_arrays(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    """Returns what an insert must hold; OPTIONAL_INSERT_ARRAYS may follow."""
    return _rows(*transition_columns(signature))


OPTIONAL_INSERT_ARRAYS = _rows(ArraySpec("td_error", ()))
"""Where the inserter knows the transitions' TD errors."""


def sample_arrays(signature: SignatureSettings) -> tuple[ArraySpec, ...]:
    """Returns what the answer to a sample request holds: batch after batch along the first axis."""
    return _rows(
        *transition_columns(signature), ArraySpec("item_ids", (), "uint64"), ArraySpec("probabilities", (), "float64")
    )


PRIORITY_ARRAYS = _rows(ArraySpec("item_ids", (), "uint64"), ArraySpec("td_errors", ()))
"""What new TD errors look like."""


def check_table(specification: RunSpecification) -> None:
    """Refuses a replay table that does not fit its bytes, or that one insert could overflow.

    The step that fills a chunk may close n windows of every copy. ``specification`` has its signature.

    Raises:
        ConfigError: names the keys, what they need and the way out.
    """
    replay, signature = specification.replay, specification.environment.signature
    assert signature is not None, "the command line resolves the environment before a table is made"
    row_bytes = sum(column.size * np.dtype(column.dtype).itemsize for column in transition_columns(signature))
    capacity = specification.replay_capacity
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
