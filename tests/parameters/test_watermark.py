import msgspec
import pytest

from adql.errors import CheckpointError
from adql.parameters.watermark import SLOT_BYTES, VolumeRecord, Watermark


def record(commit: int, epoch: int = 1) -> VolumeRecord:
    return VolumeRecord("run", "id", epoch, 10 * commit, commit)


def test_nothing_is_known_before_the_first_write(tmp_path):
    assert Watermark(tmp_path / "watermark").read() is None


def test_newest_record_is_read_back_by_another_process(tmp_path):
    writer = Watermark(tmp_path / "watermark")
    for commit in range(5):
        writer.write(record(commit))
        assert Watermark(tmp_path / "watermark").read() == record(commit)


def test_reader_goes_on_writing_over_the_older_slot(tmp_path):
    for commit in range(5):
        mark = Watermark(tmp_path / "watermark")
        mark.read()
        mark.write(record(commit))
    slots = (tmp_path / "watermark").read_bytes()
    assert b'"commit":3' in slots
    assert b'"commit":4' in slots


@pytest.mark.parametrize("torn_at", [0, 5, 8, 20, 60])
def test_torn_write_leaves_the_record_before_it(tmp_path, torn_at):
    path = tmp_path / "watermark"
    writer = Watermark(path)
    for commit in range(4):
        writer.write(record(commit))
    before = path.read_bytes()
    writer.write(record(4))
    after = path.read_bytes()
    start = 0 if before[:SLOT_BYTES] != after[:SLOT_BYTES] else SLOT_BYTES
    torn = bytearray(before)
    torn[start : start + torn_at] = after[start : start + torn_at]
    path.write_bytes(torn)
    assert Watermark(path).read() in (record(3), record(4))


def test_epoch_counts_before_version(tmp_path):
    writer = Watermark(tmp_path / "watermark")
    writer.write(record(9))
    writer.write(msgspec.structs.replace(record(1), epoch=2))
    assert Watermark(tmp_path / "watermark").read().epoch == 2


def test_file_without_a_whole_record_is_refused(tmp_path):
    (tmp_path / "watermark").write_bytes(b"x" * 2 * SLOT_BYTES)
    with pytest.raises(CheckpointError, match="adql restore"):
        Watermark(tmp_path / "watermark").read()
