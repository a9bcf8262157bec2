"""Small tables of stacked frames, and copies that play episodes of a few distinct frames."""

from collections import deque
from collections.abc import Iterable

import numpy as np

from adql.config import FRAME_OVERHEAD_BYTES
from adql.frames import FrameCodec
from adql.replay import PrioritisedSelector, RateLimiter, ReplayTable, Sessions, TransitionSchema, UniformSelector
from adql.types import OBSERVATIONS, Array, ArraySpec
from adql.wire.replay_frames import folded, unfolded
from tests.clocks import Clock

STACK, FRAME = 3, ArraySpec("frame", (2, 3), "uint8")
FRAMES_A_ROW = 2 * STACK
SCHEMA = TransitionSchema(
    columns=(
        ArraySpec("observation", (STACK,), "int32"),
        ArraySpec("action", (), "int32"),
        ArraySpec("reward", ()),
        ArraySpec("discount", ()),
        ArraySpec("next_observation", (STACK,), "int32"),
    ),
    actions=3,
    frame=FRAME,
)
CODEC = FrameCodec(FRAME)
FRAME_COST = len(CODEC.pack(bytes(FRAME.size))) + FRAME_OVERHEAD_BYTES
"""Bytes of a frame of one value in a table, whichever value."""

Transition = dict[str, Array]
"""One transition as it was before it was folded, without the axis of rows."""


def frame_of(content: int) -> Array:
    """Returns the frame that shows ``content``, 0..255."""
    return np.full(FRAME.shape, content, np.uint8)


class Copy:
    """One environment copy: the newest STACK frames, the first one of an episode repeated."""

    def __init__(self) -> None:
        self._played = 0
        self.reset(0)

    def reset(self, content: int) -> None:
        self._stacks = [np.stack([frame_of(content)] * STACK)]

    def step(self, content: int, steps: int, over: bool) -> Transition:
        """Shows one more frame and returns the transition of the last ``steps`` steps, fewer where there are fewer."""
        self._stacks.append(np.stack([*self._stacks[-1][1:], frame_of(content)]))
        start = max(0, len(self._stacks) - 1 - steps)
        self._played += 1
        transition = {
            "observation": self._stacks[start],
            "action": np.int32(self._played % 3),
            "reward": np.float32(self._played),
            "discount": np.float32(not over),
            "next_observation": self._stacks[-1],
        }
        if over:
            self.reset(content)
        return transition


def chunk_of(transitions: Iterable[Transition]) -> dict[str, Array]:
    """Returns ``transitions`` as an insert."""
    rows = list(transitions)
    return folded({name: np.stack([row[name] for row in rows]) for name in rows[0]}, CODEC)


def playing(count: int, contents: Iterable[int], copies: int = 2, over_every: int = 7) -> list[Transition]:
    """Returns ``count`` transitions of copies that take turns; ``contents`` are shown over and over."""
    played, shown = [Copy() for _ in range(copies)], list(contents)
    return [
        played[i % copies].step(shown[i % len(shown)], steps=1 + i % 3, over=i % over_every == 0) for i in range(count)
    ]


def rows_of(columns: dict[str, Array]) -> list[bytes]:
    """Returns every byte of each sampled transition."""
    whole = unfolded(columns, CODEC)
    return [b"".join(column[row].tobytes() for column in whole.values()) for row in range(len(whole["action"]))]


def bytes_of(transition: Transition) -> bytes:
    """Returns every byte of a transition, as ``rows_of`` does."""
    return b"".join(np.asarray(column).tobytes() for column in transition.values())


def frames_of(transitions: Iterable[Transition]) -> set[bytes]:
    """Returns the distinct frames of ``transitions``."""
    return {frame.tobytes() for row in transitions for name in OBSERVATIONS for frame in row[name]}


class NaiveTable:
    """What a table must hold, in a few lines: whole transitions, the oldest evicted until both bounds hold."""

    def __init__(self, capacity: int, frames: int) -> None:
        self._capacity, self._frames = capacity, frames
        self.kept: deque[Transition] = deque()
        self.next_id = 0

    @property
    def oldest(self) -> int:
        return self.next_id - len(self.kept)

    def insert(self, transitions: list[Transition]) -> None:
        while len(self.kept) + len(transitions) > self._capacity:
            self.kept.popleft()
        while len(frames_of([*self.kept, *transitions])) > self._frames:
            self.kept.popleft()
        self.kept.extend(transitions)
        self.next_id += len(transitions)

    def restart(self, capacity: int, frames: int) -> None:
        self._capacity, self._frames = capacity, frames
        while len(self.kept) > capacity or len(frames_of(self.kept)) > frames:
            self.kept.popleft()


def make_table(
    capacity: int = 32, frames: int = 64, *, prioritised: bool = False, incarnation: int = 1, seed: int = 7
) -> ReplayTable:
    """Returns a table with room for ``frames`` frames of one value each, and not for one more."""
    limiter = RateLimiter(samples_per_insert=None, min_size=1, capacity=capacity, max_error=0.0, request=64, chunk=4)
    selector = PrioritisedSelector(capacity, exponent=0.6) if prioritised else UniformSelector(capacity)
    sessions, rng = Sessions(lease_seconds=30.0, clock=Clock()), np.random.default_rng(seed)
    return ReplayTable(
        SCHEMA,
        selector,
        limiter,
        sessions,
        capacity=capacity,
        incarnation=incarnation,
        rng=rng,
        frame_room=frames * FRAME_COST + FRAME_COST - 1,
    )
