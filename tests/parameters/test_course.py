"""progress.csv, and what is meant by the wall time of a run."""

import pytest

from adql.parameters.course import Course, Sight, read_moments
from adql.types import Clocks
from tests.clocks import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def course(tmp_path, clock):
    return opened(tmp_path, clock, Clocks(0, 0))


def opened(tmp_path, clock, clocks):
    found = Course(tmp_path / "progress.csv", clock, lambda: 1_000.0)
    found.load(clocks)
    return found


def sight(environment_steps=100, learner_steps=0, *, goes_on=True, staleness=None):
    return Sight(Clocks(environment_steps, learner_steps), 2, goes_on, staleness or {})


def looked(course, clock, seconds, *seen):
    for one in seen:
        clock.now += seconds
        course.look(one)


def walls(tmp_path, course):
    course.write(course.take())
    return [moment.wall_seconds for moment in read_moments(tmp_path / "progress.csv")]


def test_clock_starts_at_the_last_look_that_saw_no_step(course, clock):
    looked(course, clock, 5.0, sight(0))
    looked(course, clock, 0.2, sight(700))
    assert course.wall_seconds == pytest.approx(0.2)


def test_time_in_which_nobody_takes_part_is_left_out(course, clock):
    looked(course, clock, 1.0, sight(0), sight(), sight(200), sight(300, goes_on=False), sight(300, goes_on=False))
    assert course.wall_seconds == pytest.approx(3.0)
    looked(course, clock, 1.0, sight(300), sight(400))
    assert course.wall_seconds == pytest.approx(4.0)


def test_end_of_a_run_has_a_line_of_its_own_and_none_follows(tmp_path, course, clock):
    looked(course, clock, 0.1, sight(0), sight(100), sight(150, goes_on=False))
    looked(course, clock, 60.0, *[sight(150, goes_on=False)] * 5)
    assert walls(tmp_path, course) == pytest.approx([0.1, 0.2])


def test_long_runs_get_fewer_lines(tmp_path, course, clock):
    looked(course, clock, 0.25, *(sight(100 * n) for n in range(41)))
    first = len(walls(tmp_path, course))
    course.wall_seconds = 6_000.0
    looked(course, clock, 0.25, *(sight(10_000 + n) for n in range(81)))
    assert (first, len(walls(tmp_path, course)) - first) == (20, 4)


def test_staleness_of_a_line_is_the_mean_of_all_updates(tmp_path, course, clock):
    looked(course, clock, 0.1, sight(staleness={0: 1, 3: 3}))
    walls(tmp_path, course)
    assert [m.staleness_mean for m in read_moments(tmp_path / "progress.csv")] == [2.25]


def test_server_that_starts_again_goes_on_with_the_time_and_drops_steps_that_were_lost(tmp_path, course, clock):
    looked(course, clock, 1.0, sight(0), sight(100, 10), sight(200, 20), sight(300, 30))
    walls(tmp_path, course)
    again = opened(tmp_path, clock, Clocks(250, 20))
    looked(again, clock, 9.0, sight(250, 20), sight(260, 21))
    assert walls(tmp_path, again) == [1.0, 2.0, 12.0]


@pytest.mark.parametrize("tail", ["1,2,3", "\0" * 200_000, '"'])
def test_torn_line_is_dropped_on_loading(tmp_path, course, clock, tail):
    looked(course, clock, 1.0, sight(0), sight(100))
    walls(tmp_path, course)
    with (tmp_path / "progress.csv").open("a") as file:
        file.write(tail)
    again = opened(tmp_path, clock, Clocks(100, 0))
    looked(again, clock, 1.0, sight(200))
    assert walls(tmp_path, again) == [1.0, 2.0]


def test_lines_that_a_full_disk_refused_are_written_later(tmp_path, course, clock):
    looked(course, clock, 1.0, sight(0), sight(100))
    file = tmp_path / "progress.csv"
    text = file.read_bytes()
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        course.write(course.take())
    file.rmdir()
    file.write_bytes(text)
    looked(course, clock, 1.0, sight(200))
    assert walls(tmp_path, course) == [1.0, 2.0]
