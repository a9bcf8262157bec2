"""What the processes of a run tell of themselves, as it is kept on the volume."""

import contextlib
import json

import pytest

from adql.config import load_specification
from adql.episodes import EPISODES_HEADER, EpisodeRecord
from adql.parameters import episode_log
from adql.parameters.diary import Diary
from adql.parameters.episode_log import EpisodeLog
from adql.parameters.sessions import Session
from adql.types import Clocks
from tests.local.runs import specification

LEARNER = Session("a", 0, "both")
ACTOR = Session("b", 1, "actor")


def played(*returns):
    return [EpisodeRecord(1.0, 0, 10, value, 5, 0.1, None) for value in returns]


def opened(directory, spec=None):
    diary = Diary(directory)
    diary.load(spec or specification(), Clocks(0, 0))
    return diary


def spent(told):
    """Without the activities that took no time."""
    return {process: {what: seconds for what, seconds in by.items() if seconds} for process, by in told.items()}


def returns(directory):
    lines = (directory / "episodes.csv").read_text().splitlines()
    assert lines[0] == EPISODES_HEADER
    return [EpisodeRecord.parse(line).episode_return for line in lines[1:]]


def test_specification_on_the_volume_is_the_one_that_the_run_goes_by(tmp_path):
    opened(tmp_path)
    changed = specification(training={"environment_steps": 7_700})
    opened(tmp_path, changed)
    assert load_specification(tmp_path / "run.yaml", environ={}) == changed


def test_account_that_comes_twice_counts_once(tmp_path):
    diary = opened(tmp_path)
    for number in (0, 0, 1, 0, 1):
        diary.take(LEARNER, number, played(float(number)), {"push": 1.0})
    diary.writing(last=True)()
    assert returns(tmp_path) == [0.0, 1.0]
    assert spent(diary.activity_seconds()) == {"learner-0": {"push": 2.0}}


def test_server_that_starts_again_takes_the_next_account_and_keeps_what_was_told(tmp_path):
    diary = opened(tmp_path)
    diary.take(LEARNER, 0, played(1.0), {"push": 1.0})
    diary.take(ACTOR, 0, played(2.0), {"environment": 3.0})
    diary.writing(last=True)()
    again = opened(tmp_path)
    again.take(LEARNER, 1, played(3.0), {"push": 0.5})
    again.writing(last=True)()
    assert returns(tmp_path) == [1.0, 2.0, 3.0]
    told = json.loads((tmp_path / "activity.json").read_text())
    assert spent(told) == {"actor-1": {"environment": 3.0}, "learner-0": {"push": 1.5}}


def test_activity_that_is_damaged_is_begun_anew(tmp_path):
    (tmp_path / "activity.json").write_text("{")
    assert opened(tmp_path).activity_seconds() == {}


def test_torn_last_episode_does_not_tear_the_next_one(tmp_path):
    (tmp_path / "episodes.csv").write_text(f"{EPISODES_HEADER}\n1.0,0,1")
    diary = opened(tmp_path)
    diary.take(LEARNER, 0, played(7.0), {})
    diary.writing()()
    assert (tmp_path / "episodes.csv").read_text().splitlines()[2:] == [played(7.0)[0].line()]


def test_full_disk_stops_no_file_but_the_one_it_refuses_and_loses_nothing(tmp_path):
    diary = opened(tmp_path)
    file = tmp_path / "episodes.csv"
    file.rename(tmp_path / "aside")
    file.mkdir()
    diary.take(LEARNER, 0, played(1.0), {"push": 1.0})
    with pytest.raises(OSError, match="Is a directory"):
        diary.writing(last=True)()
    file.rmdir()
    (tmp_path / "aside").replace(file)
    diary.take(LEARNER, 1, played(2.0), {})
    diary.writing()()
    assert returns(tmp_path) == [1.0, 2.0]
    assert spent(json.loads((tmp_path / "activity.json").read_text())) == {"learner-0": {"push": 1.0}}


def test_episodes_that_wait_for_room_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(episode_log, "MAX_UNWRITTEN_BYTES", 100)
    log = EpisodeLog(tmp_path / "episodes.csv")
    log.load()
    (tmp_path / "episodes.csv").rename(tmp_path / "aside")
    (tmp_path / "episodes.csv").mkdir()
    for value in range(50):
        with pytest.raises(OSError, match="Is a directory"):
            log.write(played(float(value)))
    (tmp_path / "episodes.csv").rmdir()
    (tmp_path / "aside").replace(tmp_path / "episodes.csv")
    log.write([])
    assert returns(tmp_path) == [0.0, 1.0, 2.0, 3.0]


def test_file_of_episodes_is_thinned_out_before_it_fills_the_volume(tmp_path):
    log = EpisodeLog(tmp_path / "episodes.csv", max_bytes=2_000)
    log.load()
    for value in range(1_000):
        log.write(played(float(value)))
        assert (tmp_path / "episodes.csv").stat().st_size <= 2_000
    kept = returns(tmp_path)
    assert kept == sorted(kept) and kept[-1] == 999.0 and kept[0] == 0.0 and len(kept) > 30


def test_file_of_episodes_that_cannot_be_thinned_out_is_not_tried_at_every_write(tmp_path, monkeypatch):
    tries = []

    def full(*_):
        tries.append(1)
        raise OSError("No space left on device")

    log = EpisodeLog(tmp_path / "episodes.csv", max_bytes=6_400)
    log.load()
    monkeypatch.setattr(episode_log, "write_atomically", full)
    for value in range(400):
        with contextlib.suppress(OSError):
            log.write(played(float(value)))
    beyond = (tmp_path / "episodes.csv").stat().st_size - 6_400
    assert 1 < len(tries) <= beyond / 100 + 1
    assert returns(tmp_path) == [float(value) for value in range(400)], "what was appended is there"
    monkeypatch.undo()
    for value in range(400, 410):
        log.write(played(float(value)))
    assert (tmp_path / "episodes.csv").stat().st_size <= 6_400
