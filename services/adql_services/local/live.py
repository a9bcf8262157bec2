"""The live picture in a terminal, drawn by rich."""

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adql.config import RunSpecification
from adql.types import OVER
from adql_services.local.curve import curve
from adql_services.local.echo import Echo
from adql_services.local.progress import evaluation_line
from adql_services.local.rates import Rates
from adql_services.local.returns import return_text
from adql_services.local.watch import Observation

WIDTH = 100
CURVE_HEIGHT = 6
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
ENDED = (*OVER, "stopped", "failed")


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
        self._slots: dict[tuple[bool, int], tuple[int, int]] = {}
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
        seconds = int(self._clock() - self._start)
        return Panel(
            Group(
                self._progress(observation),
                Text(),
                self._figures(observation),
                Text(),
                self._curve(observation),
                Text(),
                self._actor_learners(observation, status),
                *(
                    Text(f"{name} is {state}", style="yellow")
                    for name, state in processes.items()
                    if state != "running"
                ),
            ),
            title=Text.assemble(
                "ADQL ",
                (self._specification.environment.id, "bold"),
                "  ",
                (status, f"bold {COLOURS.get(status, 'white')}"),
            ),
            subtitle=Text(f"{self._title}  {seconds // 60}:{seconds % 60:02}", style="dim"),
            width=self._width(),
            padding=(1, 2),
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
        speeds = [
            ("environment", f"{environment_rate:,.0f} steps/s"),
            ("learners", f"{learner_rate:,.0f} steps/s"),
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

    def _curve(self, observation: Observation) -> RenderableType:
        means = [result["mean"] for result in observation.evaluations if result["task"]["purpose"] == "periodic"]
        if not means:
            return Text("greedy return: the first evaluation is to come", style="dim")
        lines = curve(means, self._width() - 18, CURVE_HEIGHT, self._specification.goal)
        top = max(0.0, *means, self._specification.goal or 0.0)
        labels = [f"{return_text(top):>10} ", *[" " * 11] * (len(lines) - 2), f"{return_text(min(0.0, *means)):>10} "]
        drawn = (Text.assemble((label, "dim"), (line, "cyan")) for label, line in zip(labels, lines, strict=True))
        return Group(Text("greedy return by evaluation", style="dim"), *drawn)

    def _actor_learners(self, observation: Observation, status: str) -> Table:
        table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
        for name in ("slot", "updates", "share", "environment steps"):
            table.add_column(name, justify="left" if name == "slot" else "right", no_wrap=True)
        table.add_column("state", width=12)
        self._add_learners(table, observation, status)
        if self._specification.training.actors:
            self._add_actors(table, observation, status)
        return table

    def _add_learners(self, table: Table, observation: Observation, status: str) -> None:
        applied = observation.run.get("updates_by_slot", {})
        acted = observation.run.get("environment_steps_by_slot", {})
        total = max(1, sum(applied.values()))
        live = {str(session["slot"]): session for session in observation.sessions if session["role"] != "actor"}
        for slot in sorted({*applied, *live}, key=int):
            updates, session = applied.get(slot, 0), live.get(slot)
            acts = session["role"] == "both" if session else not self._specification.training.actors
            steps = f"{acted.get(slot, 0):,}" if acts else ""
            state = self._state(session, status)
            table.add_row(f"learner {slot}", f"{updates:,}", f"{updates / total:.0%}", steps, state)

    def _add_actors(self, table: Table, observation: Observation, status: str) -> None:
        acted = observation.run.get("environment_steps_by_slot", {})
        live = {str(session["slot"]): session for session in observation.sessions if session["role"] == "actor"}
        for slot in sorted({*acted, *live}, key=int):
            state = self._state(live.get(slot), status)
            table.add_row(f"actor {slot}", "", "", f"{acted.get(slot, 0):,}", state)

    def _state(self, session: dict[str, Any] | None, status: str) -> Text:
        """Returns working while its counters grow, waiting while they stand."""
        if session is None:
            return Text("gone", style="dim")
        if status in ENDED:
            return Text("idle", style="dim")
        counters = session["environment_steps"], session["last_sequence"]
        who = session["role"] == "actor", session["slot"]
        grows = self._slots.get(who) != counters
        self._slots[who] = counters
        return Text("working", style="green") if grows else Text("waiting", style="yellow")


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
