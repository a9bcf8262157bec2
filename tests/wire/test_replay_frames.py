"""What a learner makes of an answer's frames: the stacks that were inserted, or one line of refusal."""

import numpy as np
import pytest

from adql.errors import MalformedBodyError
from adql.frames import FrameCodec, joined, separated
from adql.types import ArraySpec
from adql.wire.replay_frames import folded, unfolded

CODEC = FrameCodec(ArraySpec("frame", (5, 4), "uint8"))
BOMB = CODEC.pack(bytes(100_000))


def stacks() -> dict[str, np.ndarray]:
    frames = np.random.default_rng(1).integers(0, 256, (6, 5, 4), np.uint8)
    places = np.array([[0, 0, 1], [0, 1, 2], [3, 4, 5]])
    return {"observation": frames[places], "action": np.arange(3), "next_observation": frames[places[::-1]]}


def test_stacks_come_back_in_memory_of_their_own():
    columns = stacks()
    sent = folded(columns, CODEC)
    assert len(separated(sent)) == 6
    back = unfolded(sent, CODEC)
    assert list(back) == list(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(back[name], column)
        assert back[name].dtype == column.dtype and back[name].flags.writeable and back[name].flags.owndata


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda sent: joined([*separated(sent)[:-1], BOMB]), "declares 100000 bytes, needed are 20"),
        (lambda sent: joined([*separated(sent)[:-1], separated(sent)[-1][:-1]]), "not one whole zstd frame"),
        (lambda sent: joined([*separated(sent)[:-1], b"\xff" * 9]), "zstd frame"),
        (lambda sent: joined(separated(sent)[:-1]), "array observation has places outside its 5 frames"),
        (lambda sent: {"frame": sent["frame"][:-1]}, "frame_bytes must be lengths from 1 that add up to"),
        (lambda sent: {"observation": sent["observation"] - 1}, "array observation has places outside its 6 frames"),
    ],
)
def test_an_answer_that_is_no_stacks_is_refused_in_one_line(change, complaint):
    sent = folded(stacks(), CODEC)
    with pytest.raises(MalformedBodyError, match=complaint) as refusal:
        unfolded(sent | change(sent), CODEC)
    assert "\n" not in str(refusal.value)
