"""The arrays that travel to and from the replay service."""

from adql.config import SignatureSettings
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
