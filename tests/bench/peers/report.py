"""What came of the races: ``python -m tests.bench.peers.report [RESULTS] [--plot FILE.png]``.

Prints one JSON line a task and competitor, medians over the seeds that all competitors of the task have raced, with
ADQL's time as a multiple of each peer's.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from tests.bench.peers.__main__ import COMPETITORS, RESULTS, read_outcomes
from tests.bench.peers.race import Outcome
from tests.bench.peers.tasks import TASKS

LAST = 5
"""Evaluations at the end of a race whose median counts: the best of all would favour who is evaluated more often."""
COLOURS = {"adql": "#1f6feb", "sbx": "#d9822b", "sb3": "#8250df", "single_file": "#6e7781"}
NAMES = {"adql": "ADQL, 2 learners", "sbx": "sbx", "sb3": "Stable-Baselines3", "single_file": "single file"}


def comparable(outcomes: Sequence[Outcome], task: str) -> list[Outcome]:
    """Returns the races of ``task`` with the seeds that every competitor in it has raced."""
    raced = [one for one in outcomes if one.task == task]
    seeds = [{one.seed for one in raced if one.competitor == name} for name in {one.competitor for one in raced}]
    common = set.intersection(*seeds) if seeds else set()
    return [one for one in raced if one.seed in common]


def summary(outcomes: Sequence[Outcome], task: str) -> list[dict[str, Any]]:
    """Returns a line a competitor; one that did not reach the goal counts with the time at which it was stopped."""
    raced = comparable(outcomes, task)
    lines = []
    for name in (name for name in COMPETITORS if any(one.competitor == name for one in raced)):
        own = [one for one in raced if one.competitor == name]
        lines.append(
            {
                "task": task,
                "competitor": name,
                "seeds": sorted(one.seed for one in own),
                "reached": sum(one.reached for one in own),
                "wall_seconds": median(one.wall_seconds for one in own),
                "wall_seconds_lowest": min(one.wall_seconds for one in own),
                "wall_seconds_highest": max(one.wall_seconds for one in own),
                "cpu_seconds": median(one.cpu_seconds for one in own),
                "environment_steps": median(one.environment_steps for one in own),
                "updates": median(one.updates for one in own),
                "last_mean_return": median(median(each.mean_return for each in one.curve[-LAST:]) for one in own),
                "peak_megabytes": median(one.peak_megabytes for one in own),
            }
        )
    return [line | _ratios(line, lines) for line in lines]


def _ratios(line: dict[str, Any], lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """ADQL's time as a multiple of each peer's; in a race of a fixed time what a peer did as a multiple of ADQL's."""
    if line["competitor"] != "adql":
        return {}
    peers = [peer for peer in lines if peer is not line]
    if TASKS[line["task"]].goal is None:
        did = ("environment_steps", "last_mean_return")
        return {
            f"times_{peer['competitor']}_{what}": round(peer[what] / line[what], 3) for peer in peers for what in did
        }
    took = ("wall_seconds", "cpu_seconds")
    return {f"times_{peer['competitor']}_{what}": round(line[what] / peer[what], 3) for peer in peers for what in took}


def plot(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draws greedy return against wall time of training: a panel a task, a thin line a race."""
    tasks = [task for task in TASKS if comparable(outcomes, task)]
    figure = Figure(figsize=(5.0 * len(tasks), 4.0), layout="constrained")
    for panel, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for one in comparable(outcomes, task):
            x, y = [e.wall_seconds for e in one.curve], [e.mean_return for e in one.curve]
            panel.plot(x, y, color=COLOURS[one.competitor], alpha=0.45, linewidth=0.9, zorder=2)
            if one.reached:
                panel.plot(x[-1:], y[-1:], "o", color=COLOURS[one.competitor], markersize=4, zorder=3)
        if (goal := TASKS[task].goal) is not None:
            panel.axhline(goal, color="#1a7f37", linewidth=0.8, linestyle="--")
        panel.set(title=TASKS[task].environment, xlabel="seconds of training")
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("mean return of 20 greedy episodes")
    for name in COMPETITORS:
        figure.axes[0].plot([], [], color=COLOURS[name], label=NAMES[name])
    figure.legend(loc="outside upper center", ncols=len(COMPETITORS), frameon=False, fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Prints the summary, and draws the plot where it is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    outcomes = read_outcomes(options.results)
    for task in TASKS:
        for line in summary(outcomes, task):
            print(json.dumps(line))
    if options.plot:
        plot(outcomes, options.plot)


if __name__ == "__main__":
    main()
