import pytest

from adql.episodes import interquartile_mean


def test_interquartile_mean_cuts_a_quarter_at_each_end():
    assert interquartile_mean([100.0, 1.0, 2.0, 3.0, -50.0]) == pytest.approx(2.0)
    assert interquartile_mean([1.0, 3.0]) == 2.0
