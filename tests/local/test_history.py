from adql.parameters.course import read_moments
from adql_services.local.episodes import EpisodeTail, read_episodes
from adql_services.local.history import read_evaluations
from adql_services.local.meter import Meter
from tests.local.runs import observation


def test_meter_goes_on_from_earlier_commands_and_begins_before_the_first_new_step():
    cpu = [0.0]
    meter = Meter(20.0, 1_000, lambda: cpu[0])
    cpu[0] = 2.5
    meter.look(observation(environment_steps=1_000))
    assert meter.cpu_seconds == 20.0
    cpu[0] = 3.0
    meter.look(observation(environment_steps=1_001))
    assert meter.cpu_seconds == 20.5
    cpu[0] = 6.0
    meter.look(observation(environment_steps=1_500))
    assert meter.cpu_seconds == 23.5


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


def test_tail_goes_on_with_a_file_that_was_thinned_out(tmp_path):
    file = tmp_path / "episodes.csv"
    file.write_text("header\n" + "1.5,0,100,1000,9,1.0,\n" * 10)
    tail = EpisodeTail(file)
    file.write_text("header\n" + "1.5,0,100,1000,9,1.0,\n" * 5)
    assert tail.mean_return() is None
    with file.open("a") as stream:
        stream.write("2.5,1,200,12,12,0.9,1\n")
    assert tail.mean_return() == 12.0


def test_missing_files_are_empty(tmp_path):
    assert read_evaluations(tmp_path / "a") == read_episodes(tmp_path / "b") == read_moments(tmp_path / "c") == []


def test_bytes_that_are_no_text_cost_their_own_line_alone(tmp_path):
    file = tmp_path / "episodes.csv"
    file.write_text("header\n")
    tail = EpisodeTail(file)
    file.write_bytes(b"header\n1.0,0,10,\xff,5,0.1,\n1.0,0,10,7.0,5,0.1,\n\xff\xfe,a,b,c,d,e,f\n")
    assert tail.mean_return() == 7.0
    assert [episode.episode_return for episode in read_episodes(file)] == [7.0]
