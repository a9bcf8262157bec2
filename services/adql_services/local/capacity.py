"""Whether the replay table of a run fits, known before anything is made."""

import numpy as np

from adql.config import RunSpecification
from adql.errors import ConfigError
from adql.wire.replay_format import transition_columns


def check_capacity(specification: RunSpecification) -> None:
    """Compares ``replay.capacity`` with the bytes that it may take; the signature gives the size of a transition.

    Raises:
        ConfigError: it needs more than ``replay.capacity_bytes``, or one insert can be larger than the table.
    """
    _check_chunk(specification)
    replay, signature = specification.replay, specification.environment.signature
    assert signature is not None, "the command line resolves the environment before a run starts"
    row_bytes = sum(column.size * np.dtype(column.dtype).itemsize for column in transition_columns(signature))
    most = replay.capacity_bytes // row_bytes
    if replay.capacity > most:
        raise ConfigError(
            f"replay.capacity {replay.capacity} needs {replay.capacity * row_bytes} bytes ({row_bytes} a transition), "
            f"replay.capacity_bytes is {replay.capacity_bytes}; lower capacity to {most} or raise capacity_bytes"
        )


def _check_chunk(specification: RunSpecification) -> None:
    """The step that fills a chunk can close n windows of every copy."""
    replay, copies, n_steps = specification.replay, specification.environment.copies, specification.algorithm.n_steps
    largest = replay.chunk_transitions - 1 + copies * n_steps
    if largest > replay.capacity:
        raise ConfigError(
            f"an insert can have {largest} transitions (replay.chunk_transitions {replay.chunk_transitions}, "
            f"environment.copies {copies}, algorithm.n_steps {n_steps}), replay.capacity is {replay.capacity}; "
            f"lower chunk_transitions or raise capacity to {largest}"
        )
