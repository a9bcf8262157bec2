"""ReplayTable against a model of a few lines, under random operations."""

from collections import deque

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adql.errors import RateLimitedError
from adql.replay import ReplayTable
from tests.replay.tables import make_table, numbers_of, transitions

RATIO, MIN_SIZE, REQUEST, CHUNK, CAPACITY = 2.0, 6, 16, 5, 24


class TableAgainstModel(RuleBasedStateMachine):
    """The model: a deque of transition numbers, and the two counters of the law."""

    table: ReplayTable

    @initialize(prioritised=st.booleans())
    def start(self, prioritised):
        self.prioritised, self.incarnation = prioritised, 1
        self.table = self.new_table()
        self.kept: deque[int] = deque(maxlen=CAPACITY)
        self.inserts = self.samples = self.chunk = self.numbered = self.returned = 0
        self.batches: dict[int, int] = {}

    def new_table(self) -> ReplayTable:
        limits = {"ratio": RATIO, "min_size": MIN_SIZE, "request": REQUEST, "chunk": CHUNK}
        return make_table(CAPACITY, prioritised=self.prioritised, incarnation=self.incarnation, **limits)

    @property
    def error(self) -> float:
        return (self.inserts - MIN_SIZE) * RATIO - self.samples if self.inserts >= MIN_SIZE else 0.0

    @rule(count=st.integers(1, CHUNK), with_errors=st.booleans())
    def insert(self, count, with_errors):
        allowed = len(self.kept) < MIN_SIZE or self.error + count * RATIO <= 2 * REQUEST
        errors = np.arange(count, dtype=np.float32) if with_errors else None
        try:
            result = self.table.insert("a", self.chunk, transitions(self.numbered, count), errors)
        except RateLimitedError:
            assert not allowed
            return
        assert allowed and not result.duplicate
        self.kept.extend(range(self.numbered, self.numbered + count))
        self.inserts, self.numbered, self.chunk = self.inserts + count, self.numbered + count, self.chunk + 1

    @precondition(lambda self: self.chunk)
    @rule()
    def repeat_the_last_insert(self):
        assert self.table.insert("a", self.chunk - 1, transitions(0, 1)).duplicate

    @rule(batches=st.integers(1, 4), batch_size=st.integers(1, 4))
    def sample(self, batches, batch_size):
        count = batches * batch_size
        allowed = len(self.kept) >= MIN_SIZE and self.error - count >= -2 * REQUEST
        try:
            sampled = self.table.sample("a", batches, batch_size)
        except RateLimitedError:
            assert not allowed
            return
        assert allowed
        assert numbers_of(sampled.columns) == list(sampled.item_ids)
        assert set(sampled.item_ids) <= set(self.kept)
        self.samples += count
        self.batches |= dict.fromkeys(range(sampled.first_batch, sampled.first_batch + batches), batch_size)

    @rule(ids=st.lists(st.integers(0, 100), max_size=8), stale=st.booleans())
    def update_priorities(self, ids, stale):
        known = 0 if stale else sum(item in self.kept for item in ids)
        errors = np.linspace(-3, 3, len(ids), dtype=np.float32)
        result = self.table.update_priorities(self.incarnation - stale, np.array(ids, np.int64), errors)
        assert (result.updated, result.ignored) == (known, len(ids) - known)

    @rule(data=st.data())
    def give_back(self, data):
        numbers = data.draw(st.lists(st.sampled_from([*self.batches, 10**6]), unique=True, max_size=3))
        known = [number for number in numbers if number in self.batches]
        assert self.table.give_back(self.incarnation, numbers) == len(known)
        returned = sum(self.batches.pop(number) for number in known)
        self.samples, self.returned = self.samples - returned, self.returned + returned

    @rule()
    def restart_from_its_state(self):
        state = self.table.state()
        rows = [self.table.read_rows(state.oldest, state.next_id)]
        self.incarnation, self.batches = self.incarnation + 1, {}
        self.table = self.new_table()
        self.table.restore(state, rows)

    @invariant()
    def agrees(self):
        statistics = self.table.statistics()
        assert self.table.check_valid() == []
        assert (statistics.size, statistics.inserts, statistics.samples) == (len(self.kept), self.inserts, self.samples)
        assert statistics.error == self.error
        assert -statistics.bound <= statistics.error <= statistics.bound + self.returned


TableAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTableAgainstModel = TableAgainstModel.TestCase
