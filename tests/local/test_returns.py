import pytest

from adql_services.local.progress import evaluation_line
from adql_services.local.report import render
from adql_services.local.returns import return_text
from adql_services.local.summary import Outcome, greedy_returns, make_summary
from tests.local.runs import observation, result, specification
from tests.local.test_views import drawn


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((500.0, "500"), (139.4234, "139.4"), (0.849, "0.849"), (-84.297, "-84.3")),
        *((12_345.6, "12,346"), (-0.0, "0"), (0.00123, "0.00123"), (float("inf"), "inf")),
    ],
)
def test_return_has_four_significant_digits_and_all_before_the_point(value: float, text: str):
    assert return_text(value) == text


def test_return_just_below_the_goal_never_looks_like_it():
    assert [return_text(mean, 0.7) for mean in (0.69996, 0.7, 0.8)] == ["0.69996", "0.7", "0.8"]
    assert return_text(474.98, 475.0) == "474.98"


def test_small_mean_range_and_goal_do_not_contradict_each_other_anywhere():
    seen = observation("budget")
    last = {**result(0.849), "lowest": 0.8485, "highest": 0.8495}
    seen.run["evaluations"]["last"] = last
    spec = specification(training={"goal": 0.85})
    summary = make_summary(spec, seen, Outcome("budget", 1.0, 0))
    assert "greedy mean return 0.849 (0.8485 to 0.8495) over 20 episodes, goal 0.85" in evaluation_line(last, 0.85)
    assert greedy_returns(summary) == "greedy mean return 0.849 over 20 episodes"
    assert "<dd>0.849<small>goal 0.85, 20 episodes" in render(spec, summary, [], [], [], "")
    seen = type(seen)(seen.run, seen.table, (last,), 0.123)
    text = drawn(seen=seen, training={"goal": 0.85})
    assert "0.849 of 0.85 greedy return" in text and "0.123" in text
