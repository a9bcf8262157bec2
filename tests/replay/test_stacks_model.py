"""A table of stacked frames against a naive one that keeps whole transitions, under random operations."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adql.errors import InputError, InvalidTransitionError
from adql.frames import separated
from adql.replay import ReplayTable, Snapshots
from tests.replay.stacks import (
    FRAME_COST,
    FRAMES_A_ROW,
    SCHEMA,
    Copy,
    NaiveTable,
    bytes_of,
    chunk_of,
    frames_of,
    make_table,
    rows_of,
)

CAPACITY, COPIES, LARGEST = 12, 2, 4
SESSIONS = ("a", "b")
BOUNDS = st.tuples(st.integers(LARGEST, CAPACITY), st.integers(FRAMES_A_ROW, 2 * CAPACITY))
"""Capacity in transitions, and frames for which there is room: either may bind first."""


class StacksAgainstNaive(RuleBasedStateMachine):
    """Contents of frames are few, so that they come again over copies, sessions and episodes."""

    table: ReplayTable

    @initialize(bounds=BOUNDS, prioritised=st.booleans())
    def start(self, bounds, prioritised):
        self.bounds, self.prioritised, self.incarnation = bounds, prioritised, 1
        self.table, self.naive = self.new_table(), NaiveTable(*bounds)
        self.copies = {session: [Copy() for _ in range(COPIES)] for session in SESSIONS}
        self.chunks = dict.fromkeys(SESSIONS, 0)

    def new_table(self) -> ReplayTable:
        return make_table(*self.bounds, prioritised=self.prioritised, incarnation=self.incarnation)

    @rule(
        session=st.sampled_from(SESSIONS),
        steps=st.lists(
            st.tuples(
                st.integers(0, COPIES - 1),
                st.one_of(st.integers(0, 5), st.integers(0, 255)),
                st.integers(1, 3),
                st.booleans(),
            ),
            min_size=1,
            max_size=LARGEST,
        ),
    )
    def insert(self, session, steps):
        copies = self.copies[session]
        played = [copies[copy].step(content, n_steps, over) for copy, content, n_steps, over in steps]
        if len(frames_of(played)) > self.bounds[1]:
            with pytest.raises(InputError, match="bytes of frames into a table with room for"):
                self.table.insert(session, self.chunks[session], chunk_of(played))
            return
        assert self.table.insert(session, self.chunks[session], chunk_of(played)).inserted == len(played)
        self.chunks[session] += 1
        self.naive.insert(played)

    @precondition(lambda self: self.chunks["a"])
    @rule()
    def repeat_the_last_insert(self):
        assert self.table.insert("a", self.chunks["a"] - 1, chunk_of([Copy().step(1, 1, False)])).duplicate

    @rule(content=st.integers(0, 255), place=st.sampled_from([-1, 2, 2**31 - 1]))
    def insert_of_a_place_outside_its_frames_is_refused_whole(self, content, place):
        chunk = chunk_of([Copy().step(content, 1, False)])
        chunk["next_observation"][0, 1] = place
        with pytest.raises(InvalidTransitionError):
            self.table.insert("a", self.chunks["a"], chunk)

    @precondition(lambda self: self.naive.kept)
    @rule(count=st.integers(1, 32))
    def sample(self, count):
        sampled = self.table.sample("a", 1, count)
        expected = [bytes_of(self.naive.kept[item - self.naive.oldest]) for item in sampled.item_ids]
        assert rows_of(sampled.columns) == expected
        frames = separated(sampled.columns)
        assert len(frames) == len(set(frames))

    @precondition(lambda self: self.naive.kept)
    @rule(errors=st.lists(st.floats(0, 1_000, width=32), min_size=1, max_size=6))
    def update_priorities(self, errors):
        self.table.update_priorities(self.incarnation, np.arange(len(errors)), np.array(errors, np.float32))

    @rule(bounds=BOUNDS)
    def restart_with_other_bounds(self, bounds):
        self.bounds, self.incarnation = bounds, self.incarnation + 1
        with tempfile.TemporaryDirectory() as directory:
            snapshots = Snapshots(Path(directory), "run")
            snapshots.write(self.table, self.table.state())
            self.table = self.new_table()
            assert snapshots.restore(self.table) == []
        self.naive.restart(*bounds)

    @invariant()
    def holds_what_the_naive_table_holds(self):
        state = self.table.state()
        assert (state.oldest, state.next_id) == (self.naive.oldest, self.naive.next_id)
        if self.naive.kept:
            everything = self.table._ring.gather(self.table._ring.slots(state.oldest, state.next_id))
            assert rows_of(everything) == [bytes_of(transition) for transition in self.naive.kept]

    @invariant()
    def stores_each_distinct_live_frame_once_within_its_bytes(self):
        capacity, frames = self.bounds
        statistics = self.table.statistics()
        assert self.table.check_valid() == []
        assert statistics.frames == len(frames_of(self.naive.kept))
        assert statistics.bytes == len(self.naive.kept) * SCHEMA.row_bytes + statistics.frames * FRAME_COST
        assert statistics.bytes < capacity * SCHEMA.row_bytes + (frames + 1) * FRAME_COST


StacksAgainstNaive.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestStacksAgainstNaive = StacksAgainstNaive.TestCase
