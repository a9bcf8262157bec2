"""Snapshots of stacked frames: once on disk, whole or refused, and never torn by inserts beside them."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from adql.errors import CheckpointError
from adql.frames import longest_packed, separated
from adql.replay import ReplayTable, Snapshots, snapshot
from adql.replay.segments import read_segments
from tests.replay import tables
from tests.replay.stacks import CODEC, FRAME, bytes_of, chunk_of, frames_of, make_table, playing, rows_of
from tests.waiting import wait_until

CAPACITY, FRAMES = 32, 80


def filled(count: int = 60, **settings) -> ReplayTable:
    table = make_table(CAPACITY, FRAMES, **settings)
    for number, transition in enumerate(playing(count, range(count))):
        table.insert("a", number, chunk_of([transition]))
    return table


def held(table: ReplayTable) -> list[bytes]:
    """Returns every transition, from the oldest to the newest."""
    state = table.state()
    return rows_of(table._ring.gather(table._ring.slots(state.oldest, state.next_id)))


def restored(directory: Path, capacity: int = CAPACITY, frames: int = FRAMES) -> tuple[ReplayTable, list]:
    table = make_table(capacity, frames, incarnation=2)
    return table, Snapshots(directory, "run").restore(table)


@pytest.mark.parametrize("prioritised", [False, True])
def test_a_restored_table_is_the_one_that_was_written(tmp_path, prioritised):
    table = filled(prioritised=prioritised)
    Snapshots(tmp_path, "run").write(table, table.state())
    again, refused = restored(tmp_path)
    assert refused == []
    assert held(again) == held(table) == [bytes_of(row) for row in playing(60, range(60))[-CAPACITY:]]
    assert again.statistics().frames == table.statistics().frames
    assert again.check_valid() == []


def test_each_live_frame_is_on_disk_once(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "ROWS_BYTES", 8 * longest_packed(FRAME))
    table = filled()
    Snapshots(tmp_path, "run").write(table, table.state())
    parts = [payload for kind, payload in read_segments(Snapshots(tmp_path, "run").files()[0]) if kind == b"FRAM"]
    assert len(parts) > 3
    frames = []
    for part in parts:
        numbers = np.frombuffer(part, np.int32)
        count = int(numbers[0])
        lengths = numbers[1 + count : 1 + 2 * count]
        frames += separated({"frame_bytes": lengths, "frame": np.frombuffer(part, np.uint8)[4 + 8 * count :]})
    assert len(frames) == len(set(frames))
    assert {CODEC.unpack(frame) for frame in frames} == frames_of(playing(60, range(60))[-CAPACITY:])


@pytest.mark.parametrize(("capacity", "frames"), [(16, 80), (64, 80), (32, 24), (32, 17), (8, 200)])
def test_other_bounds_keep_the_newest_that_fit(tmp_path, capacity, frames):
    table = filled()
    Snapshots(tmp_path, "run").write(table, table.state())
    again, _ = restored(tmp_path, capacity, frames)
    kept = len(again)
    assert 0 < kept <= min(capacity, CAPACITY)
    rows = playing(60, range(60))
    assert held(again) == [bytes_of(row) for row in rows[-kept:]]
    if kept < min(capacity, CAPACITY):
        assert len(frames_of(rows[-kept:])) <= frames < len(frames_of(rows[-kept - 1 :]))
    assert again.check_valid() == []


def test_a_restored_table_goes_on_inserting_and_evicting(tmp_path):
    table, rows = filled(30), playing(120, range(120))
    Snapshots(tmp_path, "run").write(table, table.state())
    again, _ = restored(tmp_path)
    for number in range(30, 120):
        again.insert("a", number, chunk_of([rows[number]]))
        assert again.check_valid() == []
    assert held(again) == [bytes_of(row) for row in rows[-CAPACITY:]]


def test_a_file_cut_at_any_byte_is_refused_and_the_one_before_it_used(tmp_path):
    table, snapshots = filled(6), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    table.insert("a", 6, chunk_of(playing(1, [200])))
    snapshots.write(table, table.state())
    newest = snapshots.files()[0]
    whole = newest.read_bytes()
    for length in range(len(whole)):
        newest.write_bytes(whole[:length])
        again, refused = restored(tmp_path)
        assert [type(error) for error in refused] == [CheckpointError]
        assert len(again) == 6


def test_a_changed_byte_anywhere_is_noticed(tmp_path):
    table, snapshots = filled(6, prioritised=True), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    (file,) = snapshots.files()
    whole = file.read_bytes()
    for offset in range(len(whole)):
        file.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
        again, refused = restored(tmp_path)
        assert (len(refused), len(again)) == (1, 0)


def test_a_file_without_one_of_its_frame_segments_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "ROWS_BYTES", 8 * longest_packed(FRAME))
    table, snapshots = filled(), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    (file,) = snapshots.files()
    whole = file.read_bytes()
    second, third = [at for at in range(len(whole)) if whole.startswith(b"FRAM", at)][1:3]
    file.write_bytes(whole[:second] + whole[third:])
    again, (refusal,) = restored(tmp_path)
    assert "a transition names a frame that is not in it" in str(refusal)
    assert len(again) == 0


def test_a_snapshot_of_whole_observations_is_refused_in_one_line(tmp_path):
    plain = tables.make_table()
    plain.insert("a", 0, tables.transitions(0, 3))
    Snapshots(tmp_path, "run").write(plain, plain.state())
    with pytest.raises(
        CheckpointError, match=r"take the old values, delete the file, or start another run: .* another ADQL_RUN"
    ):
        restored(tmp_path)


class InsertsMeanwhile(ReplayTable):
    """Inserts new frames after each read, as the event loop may while the thread writes: slots are given away."""

    def read_rows(self, first, last):
        rows = super().read_rows(first, last)
        self._insert_one()
        return rows

    def read_frames(self, numbers):
        frames = super().read_frames(numbers)
        self._insert_one()
        return frames

    def _insert_one(self):
        self.insert("meanwhile", self._next_id, chunk_of(playing(1, [200 + self._next_id % 50])))


def test_inserts_during_a_snapshot_neither_tear_a_stack_nor_leave_a_gap(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "ROWS_BYTES", 8 * longest_packed(FRAME))
    table = filled(CAPACITY)
    state, before = table.state(), held(table)
    table.__class__ = InsertsMeanwhile
    Snapshots(tmp_path, "run").write(table, state)
    again, refused = restored(tmp_path)
    assert refused == []
    assert held(again) == before[again.state().oldest :]
    assert 0 < len(again) < CAPACITY
    assert again.check_valid() == []


def test_a_file_with_one_of_its_frame_segments_twice_is_refused(tmp_path):
    table, snapshots = filled(), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    (file,) = snapshots.files()
    whole = file.read_bytes()
    first, behind = whole.index(b"FRAM"), whole.index(b"ROWS")
    file.write_bytes(whole[:behind] + whole[first:behind] + whole[behind:])
    again, (refusal,) = restored(tmp_path)
    assert "it has a frame twice" in str(refusal)
    assert len(again) == 0


def test_snapshots_from_a_thread_beside_inserts_hold_whole_transitions(tmp_path, monkeypatch):
    """As the service writes them, until ten lack some of what was evicted while they were written, and not all."""
    monkeypatch.setattr(snapshot, "ROWS_BYTES", 50 * longest_packed(FRAME))  # several reads, and inserts between them
    table, snapshots = make_table(400, 500), Snapshots(tmp_path, "run")
    rows = playing(6_000, range(256), copies=3)
    chunks = [chunk_of(rows[first : first + 8]) for first in range(0, len(rows), 8)]
    numbers = itertools.count()
    overtaken = 0

    def insert() -> None:
        number = next(numbers)
        table.insert("a", number, chunks[number % len(chunks)])

    def ten_were_overtaken() -> bool:
        nonlocal overtaken
        before = table.state()
        writing = thread.submit(snapshots.write, table, before)
        while not writing.done():
            insert()
        writing.result()
        again, refused = restored(tmp_path, 400, 500)
        state = again.state()
        expected = [rows[item % len(rows)] for item in range(state.oldest, state.next_id)]
        assert refused == []
        assert held(again) == [bytes_of(row) for row in expected]
        assert again.check_valid() == []
        overtaken += before.oldest < state.oldest < state.next_id
        return overtaken == 10

    while not table.state().oldest:
        insert()
    with ThreadPoolExecutor(1) as thread:
        wait_until(ten_were_overtaken, what=lambda: f"{overtaken} were overtaken")
