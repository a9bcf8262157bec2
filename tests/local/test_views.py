import io
import re

import pytest
from rich.console import Console

from adql_services.local.live import LiveView, share_of_goal
from adql_services.local.live_shape import SHAPES
from adql_services.local.progress import ProgressLog, evaluation_line
from adql_services.local.rates import Rates
from adql_services.local.watch import Observation
from tests.local.runs import apart, observation, result, specification


def rows(text: str) -> list[list[str]]:
    """The lines of learners and actors, in words."""
    lines = (line.strip("│ ").split() for line in text.splitlines())
    return [line for line in lines if line[:1] in (["learner"], ["actor"])]


def drawn(width: int = 110, seen: Observation | None = None, height: int = 25, **sections) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    view = LiveView(specification(**sections), "runs/x", console=console, clock=lambda: 0.0)
    view.close("stopped")
    console.file = io.StringIO()
    console.print(view.picture(seen or observation(), {"learner-1": "restarting", "learner-0": "running"}))
    return console.file.getvalue()


def test_live_view_shows_progress_returns_speed_staleness_replay_and_learners():
    text = drawn()
    for part in ("8,000 of 200,000", "120 of 475", "88.5", "1.00, max 4", "7,900", "15.8", "working", "gone", "█"):
        assert part in text
    assert "learner-1 is restarting" in text


def test_live_view_shows_learners_and_actors_apart():
    assert rows(drawn(seen=apart(), training={"actors": 2})) == [
        ["learner", "0", "250", "100%", "working"],
        ["actor", "0", "5,000", "working"],
        ["actor", "1", "3,000", "gone"],
    ]


def test_live_view_counts_steps_as_updates_over_all_sessions_of_a_slot():
    seen = observation()
    seen.run["sessions"][0]["environment_steps"] = 7  # of a session that a resumed run has just leased
    assert rows(drawn(seen=seen)) == [
        ["learner", "0", "150", "60%", "5,000", "working"],
        ["learner", "1", "100", "40%", "3,000", "gone"],
    ]


def test_log_counts_actors_where_there_are_some():
    stream, now = io.StringIO(), [0.0]
    log = ProgressLog(specification(), stream, lambda: now[0], evaluations=2)
    for now[0], seen in ((3.0, observation()), (6.0, apart())):
        log.show(seen, {})
    assert [re.search(r"\d+ learners?, ([^,]+)", line)[1] for line in stream.getvalue().splitlines()] == [
        "version 250", "1 actor",
    ]  # fmt: skip


def test_live_view_before_the_first_evaluation_has_no_greedy_return():
    assert "– of -100 greedy return" in drawn(seen=Observation(), training={"goal": -100})


@pytest.mark.parametrize(
    ("means", "goal", "expected"),
    [
        ([], -100.0, 0.0),
        ([-500.0], -100.0, 0.0),
        ([-500.0, -200.0], -100.0, 0.75),
        ([-500.0, -97.7], -100.0, 1.0),
        ([-97.7], -100.0, 1.0),
        ([-97.7, -120.0], -100.0, 0.0),
        ([-300.0, -50.0], 200.0, 0.5),
        ([40.0, 95.0], 475.0, 0.2),
        ([-10.0, 0.0], 0.0, 1.0),
    ],
)
def test_share_of_the_goal_counts_from_the_worst_return_or_from_zero(means, goal, expected):
    assert share_of_goal(means, goal) == pytest.approx(expected)


def test_bar_of_a_negative_goal_that_is_reached_is_full_and_green():
    seen = Observation(observation().run, {}, (result(-500.0), result(-97.7)))
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    view = LiveView(specification(training={"goal": -100}), "runs/x", console=console, clock=lambda: 0.0)
    view.close("reached", seen)
    bars = re.findall(r"goal [^\n]*?\x1b\[(\d+)m(━+)[^\n]*-97.7 of -100", console.file.getvalue())
    assert [(colour, len(bar) > 20) for colour, bar in bars] == [("32", True)]


@pytest.mark.parametrize("status", ["stopped", "failed", "budget"])
def test_last_picture_says_how_the_run_ended(status):
    console = Console(file=io.StringIO(), width=80)
    view = LiveView(specification(), "runs/x", console=console, clock=lambda: 0.0)
    view.show(observation(), {"learner-0": "restarting"})
    view.close(status)
    text = console.file.getvalue()
    assert f"CartPole-v1  {status} " in text and not any(word in text for word in ("running", "working", "restarting"))


def test_last_picture_agrees_with_the_last_counters():
    console = Console(file=io.StringIO(), width=80)
    view = LiveView(specification(), "runs/x", console=console, clock=lambda: 0.0)
    view.show(observation(), {})
    last = observation(environment_steps=9_001)
    last.run["sessions"] = []
    view.close("stopped", last)
    panel = console.file.getvalue().rpartition("CartPole-v1")[2]
    assert "9,001 of 200,000" in panel and "idle" in panel and "5,000" in panel


def test_live_view_cuts_no_number_of_a_large_run_in_80_columns():
    seen = apart(environment_steps=48_000_000)
    seen.run["state"] |= {"learner_steps": 12_000_000, "version": 1_500_000}
    seen.run["updates_by_slot"] = {"0": 1_500_000, "31": 1_250_000}
    seen.run["environment_steps_by_slot"] = {"0": 24_000_000, "127": 23_500_000}
    seen.run["staleness"] = {"mean": 12.34, "p50": 1, "p99": 3, "max": 1_280}
    last = {**result(-12_345.67), "success_rate": 1.0}
    seen = Observation(seen.run, {"size": 1_000_000, "ratio": 1_024.5}, (result(40.0), last), -1_234.5)
    text = drawn(80, seen, training={"goal": -12_300, "environment_steps": 50_000_000, "actors": 2})
    for part in (
        *("48,000,000 of 50,000,000 environment steps", "-12,346 of -12,300 greedy return", "-1,234", "100%"),
        *("0 steps/s", "1,500,000", "12.34, max 1280", "1,000,000", "1,024.5", "learner 31", "1,250,000", "45%"),
        *("actor 127", "23,500,000", "learner-1 is restarting"),
    ):
        assert part in text
    assert "…" not in text and max(map(len, text.splitlines())) == 80


def crowded(learners: int, actors: int) -> Observation:
    """Large numbers, of so many learners and actors."""
    seen = apart() if actors else observation()
    seen.run["updates_by_slot"] = {str(slot): 1_500_000 + slot for slot in range(learners)}
    seen.run["environment_steps_by_slot"] = {str(slot): 24_000_000 + slot for slot in range(actors or learners)}
    return seen


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize(
    ("height", "learners", "actors", "hidden"),
    [(24, 2, 0, 0), (24, 4, 0, 0), (24, 1, 4, 0), (24, 4, 4, 0), (24, 13, 0, 0), (24, 14, 0, 2), (24, 64, 128, 180),
     (16, 2, 0, 0), (16, 5, 0, 0), (16, 6, 0, 2), (16, 4, 4, 4)],
)  # fmt: skip
def test_live_view_fits_a_low_terminal_with_its_border_and_all_rows_or_their_number(
    width, height, learners, actors, hidden
):
    text = drawn(width, crowded(learners, actors), height, training={"actors": actors})
    lines = text.splitlines()
    assert len(lines) <= height and {len(line) for line in lines} == {width}
    assert lines[0][0] == "╭" and lines[-1][0] == "╰"
    names = [*(f"learner {slot}" for slot in range(learners)), *(f"actor {slot}" for slot in range(actors))]
    shown = names[: len(names) - hidden]
    assert [" ".join(row[:2]) for row in rows(text)] == shown
    assert all(f"1,500,0{slot:02}" in text for slot in range(min(len(shown), learners)))
    assert re.findall(r"… and (\d+) more", text) == ([str(hidden)] if hidden else [])


def test_live_view_cuts_no_name_and_no_number_in_60_columns():
    assert "…" not in drawn(60, crowded(12, 0))


def test_live_view_keeps_its_curve_where_there_is_room_for_a_low_one():
    texts = [drawn(80, height=height, training={"goal": 120}) for height in (40, 22, 14)]
    assert [sum("█" in line for line in text.splitlines()) for text in texts] == [6, 3, 0]
    assert ["greedy return by evaluation" in text for text in texts] == [True, True, False]


def test_shapes_of_the_live_view_grow_lower_and_lower():
    heights = [shape.lines for shape in SHAPES]
    assert heights == sorted(set(heights), reverse=True) and heights[-1] == 0


def test_live_view_says_in_one_line_who_is_restarting():
    console = Console(file=io.StringIO(), width=60, height=16)
    view = LiveView(specification(), "runs/x", console=console, clock=lambda: 0.0)
    view.close("stopped")
    console.file = io.StringIO()
    console.print(view.picture(crowded(9, 0), {f"learner-{slot}": "restarting" for slot in range(9)}))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 16 and "learner-0, learner-1, " in lines[-2]


def test_live_view_fits_a_narrow_terminal():
    assert max(len(line) for line in drawn(70).splitlines()) <= 70


def test_log_shows_each_new_evaluation_once():
    stream, now = io.StringIO(), [0.0]
    log = ProgressLog(specification(), stream, lambda: now[0], evaluations=1)
    log.show(observation(), {})
    log.show(observation(), {})
    assert stream.getvalue().count("evaluation at") == 1
    assert "greedy mean return 120 (119 to 121) over 20 episodes, goal 475" in stream.getvalue()


def test_log_counts_one_episode_in_the_singular():
    one = result(120.0)
    one["task"]["episodes"] = 1
    assert evaluation_line(one, None).endswith("(119 to 121) over 1 episode")


def test_log_says_every_two_seconds_how_the_run_stands():
    stream, now = io.StringIO(), [0.0]
    log = ProgressLog(specification(), stream, lambda: now[0], evaluations=2)
    for now[0] in (0.5, 1.0, 2.1, 3.0):
        log.show(observation(), {})
    assert stream.getvalue().count("8000 of 200000 environment steps") == 1


def test_rates_of_a_resumed_run_begin_at_its_restored_counters():
    now = [0.0]
    rates = Rates(lambda: now[0])
    found = []
    for now[0], seen in ((0.0, Observation()), (1.0, observation(environment_steps=90_000)),
                         (2.0, observation(environment_steps=90_400))):  # fmt: skip
        found.append(rates.look(seen)[0])
    assert found == [0.0, 0.0, 400.0]


def test_rates_are_those_of_the_last_seconds():
    now = [0.0]
    rates = Rates(lambda: now[0])
    for now[0], steps in ((0.0, 0), (10.0, 10_000), (11.0, 10_500), (12.0, 11_000)):
        found = rates.look(observation(environment_steps=steps))
    assert found == (500.0, 0.0)
