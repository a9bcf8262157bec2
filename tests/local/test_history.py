import pytest

from adql_services.local.episodes import EpisodeTail, read_episodes
from adql_services.local.history import History, read_evaluations, read_moments
from adql_services.local.meter import Meter
from tests.local.runs import observation


@pytest.mark.parametrize("tail", ["1,2,3", "\0" * 200_000, '"'])
def test_moments_are_read_back_without_a_torn_line(tmp_path, tail):
    file = tmp_path / "progress.csv"
    history = History(file)
    history.write(observation(), 2.5, 4.0)
    with file.open("a") as stream:
        stream.write(tail)
    moments = read_moments(file)
    assert [(m.wall_seconds, m.cpu_seconds, m.environment_steps, m.learners) for m in moments] == [(2.5, 4.0, 8_000, 1)]
    assert History(file).earlier == moments


def test_long_runs_get_fewer_lines(tmp_path):
    now = [0.0]
    history = History(tmp_path / "progress.csv", lambda: now[0])
    history.look(observation(), 6_000.0, 1.0)
    now[0] = 4.9
    history.look(observation(), 6_004.9, 1.0)
    assert len(read_moments(tmp_path / "progress.csv")) == 1
    now[0] = 5.1
    history.look(observation(), 6_005.1, 1.0)
    assert len(read_moments(tmp_path / "progress.csv")) == 2


def test_meter_goes_on_from_earlier_commands_and_begins_before_the_first_new_step(tmp_path):
    history = History(tmp_path / "progress.csv")
    history.write(observation(environment_steps=1_000), 10.0, 20.0)
    now, cpu = [0.0], [0.0]
    meter = Meter(read_moments(tmp_path / "progress.csv"), lambda: cpu[0], lambda: now[0])
    now[0], cpu[0] = 4.0, 2.5
    meter.look(observation(environment_steps=1_000))
    assert (meter.wall_seconds, meter.cpu_seconds) == (10.0, 20.0)
    now[0], cpu[0] = 5.0, 3.0
    meter.look(observation(environment_steps=1_001))
    assert (meter.wall_seconds, meter.cpu_seconds) == (11.0, 20.5)
    now[0], cpu[0] = 7.0, 6.0
    meter.look(observation(environment_steps=1_500))
    assert (meter.wall_seconds, meter.cpu_seconds) == (13.0, 23.5)


def test_steps_of_a_run_that_fails_at_once_were_not_made_in_no_time():
    now = [0.0]
    meter = Meter([], lambda: now[0], lambda: now[0])
    now[0] = 0.4
    meter.look(observation(environment_steps=697))
    assert meter.wall_seconds == 0.4


def test_episodes_are_read_without_a_torn_line(tmp_path):
    file = tmp_path / "episodes.csv"
    file.write_text("head\n1.5,0,100,9,9,1.0,\n2.5,1,200,12,12,0.9,1\n3.5,1,3")
    found = [(e.slot, e.environment_steps, e.episode_return) for e in read_episodes(file)]
    assert found == [(0, 100, 9.0), (1, 200, 12.0)]


def test_tail_takes_whole_lines_that_are_new(tmp_path):
    file = tmp_path / "episodes.csv"
    file.write_text("1.5,0,100,1000,9,1.0,\n")
    tail = EpisodeTail(file)
    assert tail.mean_return() is None
    with file.open("a") as stream:
        stream.write("2.5,1,200,12,12,0.9,1\n3.5,1,3")
    assert tail.mean_return() == 12.0
    with file.open("a") as stream:
        stream.write("00,14,14,0.9,\n")
    assert tail.mean_return() == 13.0


def test_missing_files_are_empty(tmp_path):
    assert read_evaluations(tmp_path / "a") == read_episodes(tmp_path / "b") == read_moments(tmp_path / "c") == []


def test_bytes_that_are_no_text_cost_their_own_line_alone(tmp_path):
    file = tmp_path / "episodes.csv"
    file.write_text("header\n")
    tail = EpisodeTail(file)
    file.write_bytes(b"header\n1.0,0,10,\xff,5,0.1,\n1.0,0,10,7.0,5,0.1,\n\xff\xfe,a,b,c,d,e,f\n")
    assert tail.mean_return() == 7.0
    assert [episode.episode_return for episode in read_episodes(file)] == [7.0]
