import dataclasses
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from adql.episodes import EpisodeRecord
from adql.parameters.course import Moment
from adql_services.local.history import Evaluated
from adql_services.local.report import render, wall_seconds_at
from adql_services.local.report_tiles import MIDDLE, WIDE, balanced
from adql_services.local.summary import Outcome, make_summary
from tests.local.runs import apart, observation, result, specification

MOMENTS = [Moment(100.0 + t, float(t), 1_000 * t, 250 * t, 2, 1.0) for t in range(9)]
EPISODES = [EpisodeRecord(100.0 + i, i % 2, 20 * i, 10.0 + i, 10 + i, 0.1, None) for i in range(300)]
EVALUATIONS = [Evaluated("periodic", 250 * i, 1_000 * i, 60.0 * i, 50.0 * i, 70.0 * i) for i in range(1, 9)]
OUTCOME = Outcome("budget", 16.0, 0)


def page(evaluations=EVALUATIONS, episodes=EPISODES, moments=MOMENTS, command="adql train\n") -> str:
    summary = make_summary(specification(), observation("budget"), OUTCOME)
    return render(specification(), summary, evaluations, episodes, moments, command)


def figure(text: str, title: str) -> str:
    return next(part for part in re.findall(r"<figure>.*?</figure>", text) if f"<figcaption>{title}<" in part)


def test_report_asks_nobody_and_runs_no_script():
    text = page()
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", text)


def test_report_shows_every_figure():
    titles = re.findall(r"<figcaption>([^<]+)", page())
    assert titles == [
        "Greedy return by learner steps", "Greedy return by wall time", "Training return", "Episode length",
        "Speed", "Transitions learned on per environment step", "Staleness", "Applied updates", "Environment steps",
        "Where the time went",
    ]  # fmt: skip


def test_report_names_actors_where_they_act():
    spec = specification(training={"actors": 2, "learners": 1})
    text = render(spec, make_summary(spec, apart(), OUTCOME), EVALUATIONS, EPISODES, MOMENTS, "")
    assert ">1 learner, 2 actors, rule" in text and "of each actor" in text
    assert "by slot; an actor that comes back may get another one" in figure(text, "Environment steps")
    assert all(name in text for name in (">slot of the learner<", ">slot of the actor<"))


def test_charts_name_slots_and_say_that_they_are_not_processes():
    text = page()
    for title in ("Training return", "Episode length"):
        assert re.findall(r"</i>([^<]+)</li>", figure(text, title)) == ["slot 0", "slot 1"]
        assert "of each learner's slot" in unescape(figure(text, title))
    for title in ("Applied updates", "Environment steps"):
        assert "by slot; a learner that comes back may get another one" in figure(text, title)
    assert ">learner-0<" in figure(text, "Where the time went") and not re.search(r">learner \d", text)


def test_report_counts_one_of_anything_in_the_singular():
    spec = specification(training={"learners": 1, "actors": 1}, evaluation={"episodes": 1})
    summary = make_summary(spec, apart(), OUTCOME)
    summary |= {"version": {"epoch": 1, "number": 1}, "staleness": {"mean": 0.5, "max": 1}}
    summary["evaluation"]["episodes"] = 1
    text = render(spec, summary, EVALUATIONS, EPISODES, MOMENTS, "")
    for part in (
        "1 learner, 1 actor, rule",
        "of 1 episode,",
        ">1 update<",
        "at most 1 version<",
        "goal 475, 1 episode<",
    ):
        assert part in text


def test_samples_per_insert_reached_stand_beside_the_ratio_that_was_asked_for():
    chart = figure(page(), "Transitions learned on per environment step")
    assert ">asked for 16<" in chart and "64 for each applied learner step" in chart
    # 250 learner steps of 64 transitions in 1,000 environment steps: on the level from the second moment on.
    line = re.search(r'<polyline class="curve c0" points="([^"]+)"', chart).group(1).split()
    level = re.search(r'class="level"[^>]* y1="([^"]+)"', chart).group(1)
    assert len(line) == len(MOMENTS) - 1 and {point.split(",")[1] for point in line} == {level}


def test_samples_per_insert_without_a_limit_are_shown_as_reached_alone():
    spec = specification(replay={"samples_per_insert": None})
    text = render(spec, make_summary(spec, observation("budget"), OUTCOME), EVALUATIONS, EPISODES, MOMENTS, "")
    chart = figure(text, "Transitions learned on per environment step")
    assert "polyline" in chart and "asked for" not in chart and "level" not in chart


def test_report_of_a_run_that_had_hardly_begun_is_a_page_too():
    text = page([], [], [])
    HTMLParser().feed(text)
    assert "budget spent" in text and "Greedy return by learner steps" not in text


def test_report_shows_the_best_and_the_last_return_where_they_differ():
    seen = observation("budget")
    seen.run["evaluations"]["best"] = result(308.1, 9_000)
    summary = make_summary(specification(), seen, OUTCOME)
    text = render(specification(), summary, EVALUATIONS, EPISODES, MOMENTS, "")
    names = re.findall(r"<dt>([^<]+)", text)
    assert names[:4] == ["Best greedy return", "Last greedy return", "Success rate", "Env steps"]
    assert "at 9,000 learner steps" in text and "Best greedy return" not in page()


@pytest.mark.parametrize("most", [WIDE, MIDDLE])
@pytest.mark.parametrize("count", range(5, 10))
def test_tiles_stand_in_rows_that_differ_by_one_at_most(count, most):
    columns = balanced(count, most)
    assert columns <= most and (-count) % columns <= 1


def test_eight_tiles_stand_in_two_rows_of_four():
    seen = observation("budget")
    seen.run["evaluations"]["best"] = result(308.1, 9_000)
    text = render(specification(), make_summary(specification(), seen, OUTCOME), [], [], [], "")
    assert text.count("<dt>") == 8 and '<dl class="tiles" style="--wide: 4; --middle: 4">' in text
    assert "repeat(var(--wide), 1fr)" in text and "repeat(var(--middle), 1fr)" in text


def test_report_shows_restarts_where_there_were_some():
    restarted = dataclasses.replace(OUTCOME, process_restarts=3)
    text = render(specification(), make_summary(specification(), observation(), restarted), [], [], [], "")
    assert "<dt>Restarts</dt><dd>3<" in text and "Restarts" not in page()


def test_report_escapes_what_was_typed():
    assert "<b>" not in page(command="adql train run.name='<b>'\n")


@pytest.mark.parametrize(("learner_steps", "expected"), [(0, 0.0), (250, 1.0), (375, 1.5), (9_999, 8.0)])
def test_wall_time_of_a_version_lies_between_the_moments(learner_steps, expected):
    assert wall_seconds_at(MOMENTS, learner_steps) == pytest.approx(expected)
