"""report.html: one file that shows a run; it holds everything it needs, and asks nobody."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from html import escape

from adql.config import RunSpecification, to_annotated_yaml
from adql.episodes import EpisodeRecord
from adql.files import write_atomically
from adql.parameters.course import Moment, read_moments
from adql_services.local.charts import Band, Line, Point, bar_chart, line_chart, share_chart, smoothed, thinned
from adql_services.local.episodes import read_episodes
from adql_services.local.history import Evaluated, read_evaluations
from adql_services.local.progress import counted
from adql_services.local.report_style import STYLE
from adql_services.local.report_tiles import tiles
from adql_services.local.run_directory import RunDirectory
from adql_services.local.summary import Tree

EPISODES_SMOOTHED = 20
MAX_BARS = 16


def write_report(specification: RunSpecification, directory: RunDirectory, summary: Tree) -> None:
    """Writes the report of the run in ``directory``, whole or not at all."""
    page = render(
        specification,
        summary,
        read_evaluations(directory.evaluations),
        read_episodes(directory.episodes),
        read_moments(directory.progress),
        directory.command.read_text(encoding="utf-8", errors="replace"),
    )
    write_atomically(directory.report, page.encode())


def render(
    specification: RunSpecification,
    summary: Tree,
    evaluations: Sequence[Evaluated],
    episodes: Sequence[EpisodeRecord],
    moments: Sequence[Moment],
    command: str,
) -> str:
    """Returns the whole page."""
    title = f"ADQL · {specification.environment.id}"
    learning = [
        *_greedy_figures(specification, evaluations, moments),
        *_training_figures(episodes, _who_acts(specification)),
    ]
    running = [
        _speed(moments),
        _samples_per_insert(specification, moments),
        _staleness(summary),
        _updates(summary),
        _environment_steps(summary, _who_acts(specification)),
        _activities(summary),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body><main>'
        f"{_header(specification, summary)}{tiles(specification, summary)}"
        f"<h2>Is it learning?</h2>{_charts(learning)}<h2>How did it run?</h2>{_charts(running)}"
        f"<h2>Command</h2><pre>{escape(command.strip())}</pre>"
        f'<h2>Settings</h2><pre class="columns">{escape(to_annotated_yaml(specification))}</pre>'
        f"<details><summary>Packages</summary><pre>{escape(_packages(summary))}</pre></details></main></body></html>\n"
    )


def _header(specification: RunSpecification, summary: Tree) -> str:
    status = str(summary["status"])
    words = {"reached": "goal reached", "budget": "budget spent", "plateau": "no more improvement"}.get(status, status)
    reason = f" · {summary['reason']}" if summary.get("reason") else ""
    learners, actors = specification.training.learners, specification.training.actors
    lead = (
        f"{counted(learners, 'learner')}, {counted(actors, 'actor') + ', ' if actors else ''}"
        f"rule {specification.update.rule}, seed {specification.run.seed}{reason}"
    )
    return (
        f'<header><h1>{escape(specification.environment.id)}</h1><span class="status {escape(status)}">{escape(words)}'
        f'</span></header><p class="lead">{escape(lead)}</p>'
    )


def _charts(figures: Iterable[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>'


def _figure(title: str, hint: str, chart: str | None) -> str:
    caption = f"<figcaption>{escape(title)}<span>{escape(hint)}</span></figcaption>"
    return f"<figure>{caption}{chart}</figure>" if chart else ""


def _greedy_figures(
    specification: RunSpecification, evaluations: Sequence[Evaluated], moments: Sequence[Moment]
) -> list[str]:
    periodic = [evaluated for evaluated in evaluations if evaluated.purpose == "periodic"]
    episodes = counted(specification.evaluation.episodes, "episode")
    hint = f"mean of {episodes}, from the worst to the best of them"
    by_steps = [(float(e.learner_steps), e) for e in periodic]
    by_time = [(wall_seconds_at(moments, e.learner_steps), e) for e in periodic]
    return [
        _figure("Greedy return by learner steps", hint, _greedy(specification, by_steps, "learner steps")),
        _figure("Greedy return by wall time", hint, _greedy(specification, by_time, "seconds")),
    ]


def _greedy(specification: RunSpecification, at: Sequence[tuple[float, Evaluated]], x_label: str) -> str | None:
    if not at:
        return None
    return line_chart(
        [Line("greedy return", [(x, e.mean) for x, e in at], dots=len(at) <= 80)],
        x_label=x_label,
        y_label="return",
        band=Band([(x, e.lowest, e.highest) for x, e in at]),
        level=None if specification.goal is None else ("goal", specification.goal),
    )


def wall_seconds_at(moments: Sequence[Moment], learner_steps: int) -> float:
    """Returns when the run had made ``learner_steps``, between two lines of progress.csv in proportion."""
    steps = [moment.learner_steps for moment in moments]
    after = bisect_left(steps, learner_steps)
    if after == 0 or after == len(steps):
        return moments[min(after, len(steps) - 1)].wall_seconds if moments else 0.0
    a, b = moments[after - 1], moments[after]
    share = (learner_steps - a.learner_steps) / (b.learner_steps - a.learner_steps)
    return a.wall_seconds + share * (b.wall_seconds - a.wall_seconds)


def _who_acts(specification: RunSpecification) -> str:
    return "actor" if specification.training.actors else "learner"


def _training_figures(episodes: Sequence[EpisodeRecord], who: str) -> list[str]:
    hint = f"while exploring; mean of the last {EPISODES_SMOOTHED} episodes of each {who}'s slot"
    returns = _by_slot(episodes, [episode.episode_return for episode in episodes])
    lengths = _by_slot(episodes, [float(episode.length) for episode in episodes])
    return [
        _figure("Training return", hint, _training(returns, "return")),
        _figure("Episode length", hint, _training(lengths, "steps")),
    ]


def _by_slot(episodes: Sequence[EpisodeRecord], values: Sequence[float]) -> list[Line]:
    slots: dict[int, list[Point]] = {}
    for episode, value in zip(episodes, values, strict=True):
        slots.setdefault(episode.slot, []).append((float(episode.environment_steps), value))
    return [
        Line(f"slot {slot}", thinned(smoothed(points, EPISODES_SMOOTHED))) for slot, points in sorted(slots.items())
    ]


def _training(lines: Sequence[Line], y_label: str) -> str | None:
    return line_chart(lines, x_label="environment steps of the run", y_label=y_label) if lines else None


def _speed(moments: Sequence[Moment]) -> str:
    environment = thinned(_rates(moments, [moment.environment_steps for moment in moments]), 120)
    learner = thinned(_rates(moments, [moment.learner_steps for moment in moments]), 120)
    if not environment:
        return ""
    chart = line_chart(
        [Line("environment steps", environment), Line("learner steps", learner)], x_label="seconds", y_label="steps/s"
    )
    return _figure("Speed", "of all processes together", chart)


def _rates(moments: Sequence[Moment], counts: Sequence[int]) -> list[Point]:
    times = [moment.wall_seconds for moment in moments]
    pairs = zip(times, times[1:], counts, counts[1:], strict=False)
    return [(b, (n - m) / (b - a)) for a, b, m, n in pairs if b - a > 0.05 and n >= m]


def _samples_per_insert(specification: RunSpecification, moments: Sequence[Moment]) -> str:
    batch, asked = specification.algorithm.batch_size, specification.replay.samples_per_insert
    steps = [(moment.environment_steps, moment.learner_steps) for moment in moments if moment.environment_steps]
    if not steps:
        return ""
    chart = line_chart(
        [Line("applied", thinned([(float(made), batch * learned / made) for made, learned in steps], 120))],
        x_label="environment steps of the run",
        y_label="transitions a step",
        level=None if asked is None else ("asked for", asked),
    )
    hint = f"{batch} for each applied learner step, by all environment steps so far, those before min_size included"
    return _figure("Transitions learned on per environment step", hint, chart)


def _staleness(summary: Tree) -> str:
    counts = {int(value): count for value, count in summary.get("staleness_counts", {}).items()}
    if not counts:
        return ""
    shown = [(str(value), float(counts.get(value, 0))) for value in range(min(max(counts) + 1, MAX_BARS))]
    if beyond := sum(count for value, count in counts.items() if value >= MAX_BARS):
        shown[-1] = (f"≥{MAX_BARS - 1}", shown[-1][1] + beyond)
    chart = bar_chart(shown, x_label="versions applied between pull and push", y_label="updates")
    return _figure("Staleness", "how old the parameters were that an update was based on", chart)


def _updates(summary: Tree) -> str:
    updates = [(slot, float(count)) for slot, count in summary["updates_by_learner"].items()]
    chart = bar_chart(updates[:MAX_BARS], x_label="slot of the learner", y_label="updates") if updates else None
    return _figure("Applied updates", _by_slot_of("learner"), chart)


def _environment_steps(summary: Tree, who: str) -> str:
    steps = [(slot, float(count)) for slot, count in summary["environment_steps_by_actor"].items()]
    chart = bar_chart(steps[:MAX_BARS], x_label=f"slot of the {who}", y_label="environment steps") if steps else None
    return _figure("Environment steps", _by_slot_of(who), chart)


def _by_slot_of(who: str) -> str:
    # Slots are leased by the server: they are not the numbers of processes.
    return f"by slot; {'an' if who == 'actor' else 'a'} {who} that comes back may get another one"


def _activities(summary: Tree) -> str:
    activities = summary.get("activity_seconds", {})
    hint = "share of each process that acts or learns, by its slot"
    return _figure("Where the time went", hint, share_chart(activities) if activities else None)


def _packages(summary: Tree) -> str:
    packages = {"python": summary["python"], **summary["packages"]}
    return "\n".join(f"{name} {version}" for name, version in packages.items())
