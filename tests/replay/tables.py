"""Small tables, and transitions that describe themselves."""

from collections.abc import Callable

import google_crc32c
import numpy as np

from adql.replay import PrioritisedSelector, RateLimiter, ReplayTable, Sessions, TransitionSchema, UniformSelector
from adql.types import Array, ArraySpec
from tests.clocks import Clock

SCHEMA = TransitionSchema(
    columns=(
        ArraySpec("observation", (4,)),
        ArraySpec("action", (), "int32"),
        ArraySpec("reward", ()),
        ArraySpec("discount", ()),
        ArraySpec("next_observation", (4,)),
    ),
    actions=3,
)

Columns = dict[str, Array]


def transitions(first: int, count: int) -> Columns:
    """Transitions number ``first`` and following; ``fingerprint`` recomputes what each must hold."""
    numbers = np.arange(first, first + count)
    observation = np.stack([numbers * factor for factor in (1, 2, 3, 5)], axis=1).astype(np.float32)
    return {
        "observation": observation,
        "action": (numbers % 3).astype(np.int32),
        "reward": np.array([google_crc32c.value(row.tobytes()) % 65_521 for row in observation], np.float32),
        "discount": (numbers % 2).astype(np.float32),
        "next_observation": -observation,
    }


def numbers_of(columns: Columns) -> list[int]:
    """Returns the transitions' numbers after every byte was found to be as it was inserted."""
    numbers = [int(number) for number in columns["observation"][:, 0]]
    for row, number in enumerate(numbers):
        for name, column in transitions(number, 1).items():
            assert column[0].tobytes() == columns[name][row].tobytes(), (name, number)
    return numbers


def make_table(
    capacity: int = 32,
    *,
    prioritised: bool = False,
    ratio: float | None = None,
    min_size: int = 1,
    request: int = 64,
    chunk: int = 4,
    incarnation: int = 1,
    schema: TransitionSchema = SCHEMA,
    clock: Callable[[], float] | None = None,
) -> ReplayTable:
    limiter = RateLimiter(
        samples_per_insert=ratio, min_size=min_size, capacity=capacity, max_error=0.0, request=request, chunk=chunk
    )
    selector = PrioritisedSelector(capacity, exponent=0.6) if prioritised else UniformSelector(capacity)
    sessions = Sessions(lease_seconds=30.0, clock=clock or Clock())
    rng = np.random.default_rng(7)
    return ReplayTable(schema, selector, limiter, sessions, capacity=capacity, incarnation=incarnation, rng=rng)
