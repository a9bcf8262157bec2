"""The live picture in a terminal, drawn by rich."""

import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adql.config import RunSpecification
from adql_services.local.curve import curve
from adql_services.local.echo import Echo
from adql_services.local.live_rows import Row, Rows
from adql_services.local.live_shape import Shape, fitting
from adql_services.local.progress import evaluation_line
from adql_services.local.rates import Rates
from adql_services.local.returns import return_text
from adql_services.local.watch import Observation

WIDTH, NARROW = 100, 70
"""The widest picture, and the width below which units and headings are shortened."""
BORDER_AND_HEADING = 3
"""Lines of the panel's border, and of the heading of its rows."""
REFRESHES_PER_SECOND = 5
COLOURS = {
    "waiting": "white",
    "running": "cyan",
    "confirming": "yellow",
    "reached": "green",
    "budget": "magenta",
    "plateau": "magenta",
    "stopped": "yellow",
    "failed": "red",
}
STATES = {"working": "green", "waiting": "yellow", "idle": "dim", "gone": "dim"}
STATE_WIDTH = 8


class LiveView:
    """Redraws one panel in place; what is said stands above it."""

    def __init__(
        self,
        specification: RunSpecification,
        title: str,
        evaluations: int = 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._specification, self._title = specification, title
        self._clock, self._start = clock, clock()
        self._rates = Rates(clock)
        self._evaluations = evaluations
        self._rows = Rows(actors=specification.training.actors > 0)
        self._console = console or Console(stderr=True)
        self._shown: tuple[Observation, dict[str, str]] = Observation(), {}
        self._live = Live(
            self.picture(*self._shown),
            console=self._console,
            refresh_per_second=REFRESHES_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._echo = Echo(sys.stdin)
        self._live.start()

    def say(self, text: str) -> None:
        """Writes one line above the picture."""
        self._live.console.print(Text(text))

    def show(self, observation: Observation, processes: dict[str, str]) -> None:
        """Draws ``observation``."""
        for result in observation.evaluations[self._evaluations :]:
            if result["task"]["purpose"] == "confirm":
                self.say(evaluation_line(result, self._specification.goal))
        self._evaluations = max(self._evaluations, len(observation.evaluations))
        self._shown = observation, processes
        self._live.update(self.picture(observation, processes))

    def close(self, status: str, last: Observation | None = None) -> None:
        """Draws the last picture for good, with how the run ended and the actor-learners that were there."""
        shown, _ = self._shown
        run = last.run if last else shown.run
        observation = replace(last or shown, run={**run, "sessions": shown.sessions})
        self._live.update(self.picture(observation, {}, status))
        self._live.stop()
        self._echo.restore()

    def picture(self, observation: Observation, processes: dict[str, str], status: str | None = None) -> RenderableType:
        """Returns what is shown of ``observation``; ``status`` is how the run ended."""
        status = status or observation.status
        progress, figures, notes = self._progress(observation), self._figures(observation), _notes(processes)
        rows, height = self._rows.look(observation, status), self._console.height
        others = progress.row_count + figures.row_count + len(notes) + BORDER_AND_HEADING
        shape = fitting(height, others + len(rows))
        gap = [Text()] if shape.gaps else []
        content = Group(
            progress,
            *gap,
            figures,
            *gap,
            *([self._curve(observation, shape.curve), *gap] if shape.curve else []),
            _drawn(rows, height - others - shape.lines, self._width() < NARROW),
            *notes,
        )
        return self._panel(content, status, shape)

    def _panel(self, content: Group, status: str, shape: Shape) -> Panel:
        seconds = int(self._clock() - self._start)
        return Panel(
            content,
            title=Text.assemble(
                "ADQL ",
                (self._specification.environment.id, "bold"),
                "  ",
                (status, f"bold {COLOURS.get(status, 'white')}"),
            ),
            subtitle=Text(f"{self._title}  {seconds // 60}:{seconds % 60:02}", style="dim"),
            width=self._width(),
            padding=(int(shape.margins), 2),
        )

    def _width(self) -> int:
        return min(WIDTH, self._console.width)

    def _progress(self, observation: Observation) -> Table:
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(width=8)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        steps, budget = observation.environment_steps, self._specification.training.environment_steps
        grid.add_row("budget", _bar(steps, budget), f"{steps:,} of {budget:,} environment steps")
        goal, means = self._specification.goal, [result["mean"] for result in observation.evaluations]
        if goal is not None:
            text = f"{_return(means[-1] if means else None, goal)} of {return_text(goal)} greedy return"
            grid.add_row("goal", _bar(share_of_goal(means, goal), 1.0), text)
        return grid

    def _figures(self, observation: Observation) -> Table:
        environment_rate, learner_rate = self._rates.look(observation)
        last, staleness, table = observation.last_evaluation, observation.staleness, observation.table
        success = last["success_rate"] if last else None
        returns = [
            ("greedy return", _return(last["mean"] if last else None, self._specification.goal)),
            ("training return", _return(observation.training_return)),
            ("success rate", "–" if success is None else f"{success:.0%}"),
        ]
        unit = "/s" if self._width() < NARROW else " steps/s"
        speeds = [
            ("environment", f"{environment_rate:,.0f}{unit}"),
            ("learners", f"{learner_rate:,.0f}{unit}"),
            ("version", f"{observation.state.get('version', 0):,}"),
        ]
        data = [
            ("staleness", f"{staleness['mean']:.2f}, max {staleness['max']}" if staleness else "–"),
            ("replay", f"{table.get('size', 0):,}"),
            ("samples per insert", _number(table.get("ratio"))),
        ]
        columns = [returns, speeds, data]
        if self._width() < WIDTH:  # three of them do not fit 80 columns
            columns = [returns + data[::2], speeds + data[1::2]]
        grid = Table.grid(padding=(0, 2), expand=True)
        for _ in columns:
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(justify="right", no_wrap=True)
        for row in itertools.zip_longest(*columns, fillvalue=("", "")):
            grid.add_row(*itertools.chain.from_iterable(row))
        return grid

    def _curve(self, observation: Observation, height: int) -> RenderableType:
        means = [result["mean"] for result in observation.evaluations if result["task"]["purpose"] == "periodic"]
        if not means:
            return Text("greedy return: the first evaluation is to come", style="dim")
        lines = curve(means, self._width() - 18, height, self._specification.goal)
        top = max(0.0, *means, self._specification.goal or 0.0)
        labels = [f"{return_text(top):>10} ", *[" " * 11] * (len(lines) - 2), f"{return_text(min(0.0, *means)):>10} "]
        drawn = (Text.assemble((label, "dim"), (line, "cyan")) for label, line in zip(labels, lines, strict=True))
        return Group(Text("greedy return by evaluation", style="dim"), *drawn)


def _drawn(rows: Sequence[Row], room: int, narrow: bool) -> Group:
    """Returns as many of ``rows`` under their heading as have ``room``, and says how many have not."""
    shown = rows if len(rows) <= room else rows[: max(room - 1, 0)]
    hidden = len(rows) - len(shown)
    return Group(_table(shown, narrow), *([Text(f" … and {hidden} more", style="dim")] if hidden else []))


def _table(rows: Sequence[Row], narrow: bool) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
    # A name that is cut tells nobody apart.
    table.add_column("slot", no_wrap=True, min_width=max((len(row[0]) for row in rows), default=0))
    for name in ("updates", "share", "env steps" if narrow else "environment steps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", width=STATE_WIDTH)
    for *cells, state in rows:
        table.add_row(*cells, Text(state, style=STATES[state]))
    return table


def _notes(processes: Mapping[str, str]) -> list[Text]:
    """Returns a line for each state but running, however many processes are in it."""
    names: dict[str, list[str]] = {}
    for name, state in processes.items():
        if state != "running":
            names.setdefault(state, []).append(name)
    lines = (f"{', '.join(who)} {'is' if len(who) == 1 else 'are'} {state}" for state, who in names.items())
    return [Text(line, "yellow", no_wrap=True, overflow="ellipsis") for line in lines]


def share_of_goal(means: Sequence[float], goal: float) -> float:
    """Returns how far the last of ``means`` has come on the way to ``goal``: from 0, or from a worse one among them."""
    if not means or means[-1] >= goal:
        return 1.0 if means else 0.0
    start = min(0.0, *means)
    return (means[-1] - start) / (goal - start)


def _bar(completed: float, total: float) -> ProgressBar:
    return ProgressBar(total=max(total, 1e-9), completed=min(completed, total), finished_style="green")


def _return(value: float | None, goal: float | None = None) -> str:
    return "–" if value is None else return_text(value, goal)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"
