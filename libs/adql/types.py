"""The records that travel through ADQL: transitions, parameters and updates; numpy only, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


Activity = Literal["environment", "insert", "sample", "gradient", "push", "pull", "wait"]
"""What the time of a process that acts or learns goes to."""
ACTIVITIES: tuple[Activity, ...] = get_args(Activity)

OBSERVATIONS = ("observation", "next_observation")
"""The columns of a TransitionBatch that hold observations."""


@dataclass(frozen=True, slots=True)
class TransitionBatch:
    """n transitions as named columns; the first axis of each is n.

    ``reward`` is the n-step reward and ``discount`` is γᵐ·(1 − terminated), made once in the accumulator, so that a
    TD target is ``reward + discount · Q'(next_observation, a*)`` and nothing else.
    """

    observation: Array
    """(n, *observation_shape) in the environment's dtype."""
    action: npt.NDArray[np.int32]
    """(n,)"""
    reward: Float32Array
    """(n,)"""
    discount: Float32Array
    """(n,)"""
    next_observation: Array
    """(n, *observation_shape) in the environment's dtype."""
    next_mask: npt.NDArray[np.bool_] | None = None
    """(n, actions), true where the next action is legal; None where every action always is."""

    def __len__(self) -> int:
        return len(self.action)

    def columns(self) -> dict[str, Array]:
        """Returns the present columns by name, in the order of the fields."""
        return {f.name: column for f in fields(self) if (column := getattr(self, f.name)) is not None}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Array]) -> Self:
        """Builds a batch from named columns; the caller has checked names, shapes and dtypes."""
        return cls(**columns)

    @classmethod
    def concatenate(cls, batches: "list[TransitionBatch]") -> "TransitionBatch":
        """Returns all rows of ``batches`` (at least one) in order."""
        columns = [batch.columns() for batch in batches]
        return cls.from_columns({name: np.concatenate([c[name] for c in columns]) for name in columns[0]})

    def rows(self, index: slice | IntArray) -> Self:
        """Returns the rows at ``index``."""
        return self.from_columns({name: column[index] for name, column in self.columns().items()})


@dataclass(frozen=True, slots=True)
class SampleInfo:
    """Where the rows of a sample came from."""

    item_ids: npt.NDArray[np.uint64]
    """(n,) never reused within an incarnation."""
    probabilities: Float64Array
    """(n,) with which each row was drawn."""
    incarnation: int
    """+1 each time the table starts; what carries another one is ignored."""
    table_size: int
    """Transitions in the table when the sample was drawn."""


@dataclass(frozen=True, slots=True)
class ReplaySample:
    """One batch drawn from a replay table."""

    transitions: TransitionBatch
    info: SampleInfo


class Version(NamedTuple):
    """Which parameters: grows lexicographically; ``number`` is +1 per applied update, ``epoch`` +1 per server start."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


class ArraySpec(NamedTuple):
    """Name, shape and dtype name of one array: numpy's, such as ``float32``, or ``bfloat16`` on the wire."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Manifest:
    """How one flat float32 vector is cut into the named arrays of a network, in order."""

    entries: tuple[ArraySpec, ...]

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(entry.size for entry in self.entries)

    def views(self, vector: Array) -> dict[str, Array]:
        """Returns reshaped views into ``vector`` (shape (size,), any dtype) by name; nothing is copied."""
        views, offset = {}, 0
        for entry in self.entries:
            views[entry.name] = vector[offset : offset + entry.size].reshape(entry.shape)
            offset += entry.size
        return views


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two durable clocks of a run; every schedule is a function of them."""

    environment_steps: int = 0
    learner_steps: int = 0


@dataclass(frozen=True, slots=True)
class Parameters:
    """One version of θ: a flat float32 vector of shape (P,), never written after it was published."""

    version: Version
    vector: Float32Array


@dataclass(frozen=True, slots=True)
class Update:
    """What a learner pushes; ``vector`` means what the run's update rule says (parameters, difference or gradient)."""

    session: str
    sequence: int
    based_on: Version
    vector: Float32Array
    """(P,)"""
    learner_steps: int
    """Local gradient steps in this update, k ≥ 1."""
    environment_steps: int
    """Monotone counter of the whole session, not a difference."""


SPENT = ("budget", "plateau")
"""Statuses of a run that ended without its goal."""
OVER = ("reached", *SPENT)
"""Statuses of a run in which nothing more is to be learned."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What every answer of the parameter server below 400 says about the run."""

    run_id: str
    version: Version
    """The newest applied one."""
    durable: Version
    """The watermark: updates up to it are acknowledged."""
    clocks: Clocks
    status: str
    """waiting, running, confirming, reached, budget or plateau."""
    learners: int
    """Live sessions that push."""

    @property
    def is_over(self) -> bool:
        """True when nothing more is to be learned."""
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """How an update ended, and the server's parameters after it."""

    outcome: str
    """applied or duplicate; else stale or invalid, and then the local parameters give way to ``parameters``."""
    parameters: Parameters
    staleness: int | None = None
    """Versions applied between the update's base and its own application; None unless applied."""

    @property
    def joined(self) -> bool:
        """True when the update is in ``parameters``."""
        return self.outcome in ("applied", "duplicate")


@dataclass(frozen=True, slots=True)
class Account:
    """What a process did since it last told: a column an entry for each of its n training episodes, and its time."""

    unix_seconds: tuple[float, ...] = ()
    environment_steps: tuple[int, ...] = ()
    """Of the whole run, as the process knew it."""
    returns: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    epsilons: tuple[float, ...] = ()
    successes: tuple[bool | None, ...] = ()
    """None where neither the environment nor a goal says it."""
    activity_seconds: Mapping[Activity, float] = field(default_factory=dict)
