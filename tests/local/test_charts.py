import xml.etree.ElementTree as ElementTree

import pytest

from adql_services.local.charts import (
    Band,
    Line,
    bar_chart,
    counted,
    line_chart,
    share_chart,
    short,
    smoothed,
    thinned,
    ticks,
)
from adql_services.local.curve import curve


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 500, [0, 100, 200, 300, 400, 500]), (-3, 1, [-3, -2, -1, 0, 1]), (0, 0.9, [0, 0.2, 0.4, 0.6, 0.8, 1.0])],
)
def test_ticks_are_round_and_cover_the_values(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_labels_are_short():
    assert [short(value) for value in (0, 250, 12_000, 2_500_000, 0.25)] == ["0", "250", "12k", "2.5M", "0.25"]


def test_thinned_keeps_the_mean_and_the_bound():
    points = [(float(i), 2.0 * i) for i in range(1_000)]
    kept = thinned(points, 100)
    assert len(kept) == 100
    assert sum(y for _, y in kept) / 100 == pytest.approx(999.0)


def test_smoothed_is_the_mean_of_the_last_values():
    assert smoothed([(1, 2.0), (2, 4.0), (3, 6.0)], 2) == [(1, 2.0), (2, 3.0), (3, 5.0)]


@pytest.mark.parametrize(
    "chart",
    [
        line_chart(
            [Line("a<b", [(0, 1), (10, 5)], dots=True)],
            x_label="x & y",
            y_label="<y>",
            band=Band([(0, 0, 2), (10, 4, 6)]),
            level=("goal", 5),
        ),
        line_chart([Line("one point", [(3, 3)])], x_label="x", y_label="y"),
        line_chart([Line("a", [(0, -4), (1, -4)]), Line("b", [(0, 0)])], x_label="x", y_label="y"),
        bar_chart([("0", 3.0), ("≥15", 0.0)], x_label="x", y_label="y"),
        share_chart({"learner-0": {"push": 1.0, "gradient": 3.0}, "learner-1": {}}),
    ],
)
def test_charts_are_well_formed_and_finite(chart):
    ElementTree.fromstring(f"<div>{chart}</div>")
    assert "nan" not in chart and "inf" not in chart


def test_curve_fills_its_height_at_the_largest_value():
    assert curve([0, 4, 8], 3, 2) == ["  █", " ██"]


def test_curve_shows_the_level_above_what_was_reached():
    assert curve([4, 4], 2, 2, level=8) == ["╌╌", "██"]


def test_curve_has_the_width_asked_for_whatever_it_is_given():
    for count in (0, 1, 7, 500):
        assert {len(line) for line in curve([1.0] * count, 40, 3)} == {40}


def test_bars_are_labelled_with_whole_counts():
    assert [counted(value) for value in (7.0, 1304.0, 13_061.0, 2_345_678.0)] == ["7", "1,304", "13.1k", "2.35M"]
