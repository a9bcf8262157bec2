import errno
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adql.errors import CheckpointError, ForeignCheckpointError
from adql.replay import ReplayTable, Snapshots, TransitionSchema, segments, snapshot
from adql.replay.segments import MAGIC
from tests.replay.tables import SCHEMA, make_table, numbers_of, transitions


def filled(count: int = 40, **settings) -> ReplayTable:
    table = make_table(**settings)
    for chunk in range(count):
        table.insert("a", chunk, transitions(chunk, 1))
    return table


def restored(directory: Path, **settings) -> ReplayTable:
    table = make_table(incarnation=2, **settings)
    Snapshots(directory, "run").restore(table)
    return table


def numbers_in(table: ReplayTable) -> list[int]:
    state = table.state()
    return numbers_of(table.read_rows(state.oldest, state.next_id)[1])


@pytest.mark.parametrize("prioritised", [False, True])
def test_a_restored_table_is_the_one_that_was_written(tmp_path, prioritised):
    table = filled(prioritised=prioritised)
    if prioritised:
        table.update_priorities(1, np.arange(20, 30), np.linspace(1, 9, 10, dtype=np.float32))
    table.sample("a", 2, 8)
    Snapshots(tmp_path, "run").write(table, table.state())
    again = restored(tmp_path, prioritised=prioritised)
    before, after = table.state(), again.state()
    np.testing.assert_array_equal(before.priorities, after.priorities)
    assert replace(before, incarnation=2, priorities=None) == replace(after, priorities=None)
    assert numbers_in(again) == list(range(8, 40))
    assert again.check_valid() == []


def test_a_retry_of_a_chunk_in_the_snapshot_is_not_a_second_insert(tmp_path):
    table = filled()
    Snapshots(tmp_path, "run").write(table, table.state())
    assert restored(tmp_path).insert("a", 39, transitions(39, 1)).duplicate


@pytest.mark.parametrize("capacity", [16, 40, 64])
def test_another_capacity_keeps_the_newest(tmp_path, capacity):
    table = filled(prioritised=True, capacity=32)
    Snapshots(tmp_path, "run").write(table, table.state())
    again = restored(tmp_path, prioritised=True, capacity=capacity)
    assert numbers_in(again) == list(range(40))[-min(capacity, 32) :]
    assert again.check_valid() == []


def test_a_file_cut_at_any_byte_is_refused_and_the_one_before_it_used(tmp_path):
    table, snapshots = filled(4), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    table.insert("a", 4, transitions(4, 1))
    snapshots.write(table, table.state())
    newest = snapshots.files()[0]
    whole = newest.read_bytes()
    for length in range(len(whole)):
        newest.write_bytes(whole[:length])
        again = make_table()
        (refusal,) = snapshots.restore(again)
        assert isinstance(refusal, CheckpointError)
        assert numbers_in(again) == [0, 1, 2, 3]


def test_a_changed_byte_anywhere_is_noticed(tmp_path):
    table, snapshots = filled(4, prioritised=True), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    (file,) = snapshots.files()
    whole = file.read_bytes()
    for offset in range(len(whole)):
        file.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
        again = make_table(prioritised=True)
        assert len(snapshots.restore(again)) == 1
        assert len(again) == 0


def test_files_with_foreign_names_are_neither_read_nor_in_the_way(tmp_path):
    table, snapshots = filled(4), Snapshots(tmp_path, "run")
    foreign = [tmp_path / name for name in ("x.snapshot", "99.snapshot", f"{0:020d}.snapshot.bak")]
    for path in foreign:
        path.write_text("mine")
    for _ in range(3):
        snapshots.write(table, table.state())
    assert [path.stem for path in snapshots.files()] == [f"{number:020d}" for number in (2, 1)]
    assert numbers_in(restored(tmp_path)) == [0, 1, 2, 3]
    assert all(path.read_text() == "mine" for path in foreign)


def test_bytes_behind_the_end_are_noticed(tmp_path):
    table, snapshots = filled(4), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    with snapshots.files()[0].open("ab") as file:
        file.write(b"\0")
    assert len(snapshots.restore(make_table())) == 1


class StopsAfter:
    """A file that takes ``writes`` calls and then fails as a full disk does."""

    def __init__(self, path: Path, writes: int) -> None:
        self._file, self._left = path.open("wb"), writes

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def write(self, data):
        if self._left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._left -= 1
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_a_disk_that_is_full_at_any_write_leaves_the_old_snapshot_and_no_litter(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "ROWS_BYTES", 4 * SCHEMA.row_bytes)
    table = filled(prioritised=True)
    Snapshots(tmp_path, "run").write(table, table.state())
    for writes in itertools.count():
        full = Snapshots(tmp_path, "run", open_file=lambda path, writes=writes: StopsAfter(path, writes))
        try:
            full.write(table, table.state())
        except OSError as error:
            assert error.errno == errno.ENOSPC
        else:
            break
        assert [file.name for file in tmp_path.iterdir()] == [f"{0:020d}.snapshot"]
        assert numbers_in(restored(tmp_path, prioritised=True)) == list(range(8, 40))
    assert writes > 20


def test_what_a_killed_writer_left_is_neither_read_nor_in_the_way(tmp_path):
    table, snapshots = filled(), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    (tmp_path / f".{1:020d}.snapshot.7.tmp").write_bytes(segments.MAGIC + b"half a segm")
    assert len(restored(tmp_path)) == 32
    snapshots.write(table, table.state())
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{number:020d}.snapshot" for number in (0, 1)]


def test_whole_snapshot_to_fall_back_on_is_kept_until_there_are_two_newer_ones(tmp_path):
    table, snapshots = filled(), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    (tmp_path / f"{1:020d}.snapshot").write_bytes(segments.MAGIC + b"half a segm")
    again = make_table(incarnation=2)
    assert len(snapshots.restore(again)) == 1
    snapshots.write(again, again.state())
    assert [file.stem for file in snapshots.files()] == [f"{2:020d}", f"{0:020d}"]


def test_snapshots_that_are_passed_over_say_what_is_used_in_their_place(tmp_path):
    table, snapshots = filled(), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    for number in (1, 2):
        (tmp_path / f"{number:020d}.snapshot").write_bytes(segments.MAGIC + b"half a segm")
    whole = snapshots.files()[-1]
    refused = snapshots.restore(make_table(incarnation=2))
    said = "is corrupt: it ends before its tail"
    assert [str(one) for one in refused] == [f"{tmp_path}/{n:020d}.snapshot {said}; {whole} is used" for n in (2, 1)]
    assert snapshots.newest() == whole


def test_only_snapshot_that_is_corrupt_says_that_the_table_begins_empty(tmp_path):
    snapshots = Snapshots(tmp_path, "run")
    (tmp_path / f"{0:020d}.snapshot").write_bytes(segments.MAGIC + b"half a segm")
    (refused,) = snapshots.restore(table := make_table())
    assert str(refused).endswith("its tail; no other one is whole, so the table begins empty")
    assert len(table) == 0 and snapshots.newest() is None


def test_snapshot_that_cannot_be_read_is_passed_over(tmp_path, monkeypatch):
    table, snapshots = filled(), Snapshots(tmp_path, "run")
    for _ in range(2):
        snapshots.write(table, table.state())
    whole = snapshot.read_segments

    def broken(path):
        if path.stem.endswith("1"):
            raise OSError(errno.EIO, "Input/output error")
        return whole(path)

    monkeypatch.setattr(snapshot, "read_segments", broken)
    again = make_table(incarnation=2)
    (refused,) = snapshots.restore(again)
    assert "cannot be read: Input/output error" in str(refused) and len(again) == 32


def test_two_snapshots_are_kept(tmp_path):
    table, snapshots = filled(), Snapshots(tmp_path, "run")
    for _ in range(4):
        snapshots.write(table, table.state())
    assert [file.stem for file in snapshots.files()] == [f"{3:020d}", f"{2:020d}"]


class InsertsMeanwhile(ReplayTable):
    """Inserts eight transitions after each read, as the event loop may while the thread writes."""

    def read_rows(self, first, last):
        rows = super().read_rows(first, last)
        self.insert("meanwhile", self._next_id, transitions(self._next_id, 8))
        return rows


def test_inserts_during_a_snapshot_neither_tear_it_nor_leave_a_gap(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "ROWS_BYTES", 4 * SCHEMA.row_bytes)
    table = filled(32, capacity=32, prioritised=True)
    state = table.state()
    table.__class__ = InsertsMeanwhile
    Snapshots(tmp_path, "run").write(table, state)
    again = restored(tmp_path, prioritised=True)
    assert numbers_in(again) == list(range(again.state().oldest, 32))
    assert again.check_valid() == []
    assert len(again) < 32


def test_a_snapshot_of_another_run_or_layout_is_refused(tmp_path):
    table = filled()
    Snapshots(tmp_path, "run").write(table, table.state())
    with pytest.raises(
        CheckpointError, match=r"another run or configuration; .*in the chart's values another run\.run\.name"
    ):
        Snapshots(tmp_path, "other").restore(make_table())
    foreign = TransitionSchema((SCHEMA.columns[0]._replace(shape=(5,)), *SCHEMA.columns[1:]), actions=3)
    with pytest.raises(CheckpointError, match="another run or configuration"):
        Snapshots(tmp_path, "run").restore(make_table(schema=foreign))


def test_a_snapshot_of_an_earlier_release_is_refused_with_the_way_out_and_left_alone(tmp_path):
    table, snapshots = filled(4), Snapshots(tmp_path, "run")
    snapshots.write(table, table.state())
    (file,) = snapshots.files()
    whole = file.read_bytes()
    earlier = whole[: len(MAGIC) - 1] + b"\x01" + whole[len(MAGIC) :]
    file.write_bytes(earlier)
    with pytest.raises(ForeignCheckpointError, match="of format 1, this release reads 2; run the release"):
        snapshots.restore(make_table())
    assert file.read_bytes() == earlier


def test_an_empty_directory_restores_nothing(tmp_path):
    assert Snapshots(tmp_path, "run").restore(table := make_table()) == []
    assert len(table) == 0


def test_the_incarnation_grows_by_one_with_every_start(tmp_path):
    snapshots = Snapshots(tmp_path, "run")
    assert [snapshots.next_incarnation(first=7) for _ in range(3)] == [7, 8, 9]
    (tmp_path / "incarnation").write_text("torn")
    assert snapshots.next_incarnation(first=100) == 100


def test_the_head_is_json_and_nothing_is_pickled(tmp_path):
    table = filled(3)
    Snapshots(tmp_path, "run").write(table, table.state())
    kind, payload = next(segments.read_segments(Snapshots(tmp_path, "run").files()[0]))
    assert kind == b"HEAD"
    assert json.loads(payload)["next_id"] == 3
