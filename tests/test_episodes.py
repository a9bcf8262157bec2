import pytest

from adql.episodes import EPISODES_HEADER, EpisodeRecord, interquartile_mean


def test_interquartile_mean_cuts_a_quarter_at_each_end():
    assert interquartile_mean([100.0, 1.0, 2.0, 3.0, -50.0]) == pytest.approx(2.0)
    assert interquartile_mean([1.0, 3.0]) == 2.0


@pytest.mark.parametrize("success", [True, False, None])
def test_line_of_an_episode_reads_back_as_it_was_under_the_names_of_the_header(success):
    record = EpisodeRecord(1_700_000_000.125, 3, 12_000, -21.5, 500, 0.0625, success)
    assert EpisodeRecord.parse(record.line()) == record
    columns = dict(zip(EPISODES_HEADER.split(","), record.line().split(","), strict=True))
    assert (columns["slot"], columns["run_environment_steps"], columns["return"]) == ("3", "12000", "-21.5")


def test_line_of_an_episode_that_is_cut_anywhere_before_its_last_column_is_none():
    line = EpisodeRecord(1.5, 0, 100, 9.0, 9, 1.0, None).line()
    assert {EpisodeRecord.parse(line[:end]) for end in range(len(line))} == {None}
