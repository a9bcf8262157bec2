"""What the verbs of a replay table answer, and its state; frozen."""

from collections.abc import Mapping
from dataclasses import dataclass

from adql.replay.sessions import Chunk
from adql.types import Array, Float64Array, IntArray

Columns = Mapping[str, Array]
"""Rows as named columns."""


@dataclass(frozen=True, slots=True)
class InsertResult:
    """What an insert did."""

    inserted: int
    """Transitions of the chunk."""
    duplicate: bool
    """The chunk had been inserted before and was not inserted again."""
    size: int
    """Transitions in the table."""
    incarnation: int


@dataclass(frozen=True, slots=True)
class SampledBatches:
    """Batches of one request, one after the other along the first axis; every array owns its memory."""

    columns: dict[str, Array]
    item_ids: IntArray
    probabilities: Float64Array
    first_batch: int
    """The batches are numbered upwards from here; the numbers are for ``give_back``."""
    size: int
    """Transitions in the table."""
    mean_age: float
    """Inserts since a sampled transition came in, the mean."""
    incarnation: int


@dataclass(frozen=True, slots=True)
class PriorityResult:
    """What new TD errors did."""

    updated: int
    ignored: int
    """Of evicted transitions, or of another incarnation."""


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """A table in numbers; ``error`` and ``bound`` are the rate limiter's."""

    size: int
    capacity: int
    inserts: int
    samples: int
    error: float
    bound: float
    ratio: float
    bytes: int
    frames: int
    """Distinct frames in store; 0 where observations are no stacks."""
    incarnation: int
    learners: int
    """Live sessions that sample."""
    priority_mean: float
    priority_max: float


@dataclass(frozen=True, slots=True)
class TableState:
    """Everything but the rows, which are those of the ids ``oldest`` to ``next_id`` − 1."""

    incarnation: int
    oldest: int
    next_id: int
    inserts: int
    samples: int
    chunks: Mapping[str, Chunk]
    priorities: Float64Array | None
    """(next_id − oldest,) from the oldest to the newest; None of a uniform table."""
