"""What more learners on one machine do: ``python -m tests.bench.bench_learners [--learners 1 2 4 8] [--seconds 20]``.

MinAtar's Breakout, where the gradient is most of the work, trained by ``adql train`` with all its services; one JSON
line a run, then one for each number of learners with the medians of ``--rounds`` runs and the steps of one learner as a
multiple of them. All numbers of learners take their turn in each round. ``--plot FILE.png`` draws the greedy returns.
"""

import argparse
import itertools
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from matplotlib.figure import Figure

from adql.parameters.course import Moment, read_moments
from adql_services.local.history import read_evaluations
from adql_services.local.run_directory import RunDirectory
from tests.waiting import wait_until

TASKS: Mapping[str, tuple[str, ...]] = {
    "minatar": (
        *("--env", "minatar.gym:MinAtar/Breakout-v1", "environment.allow=[minatar.gym]", "network.kind=minatar"),
        *("replay.min_size=1000", "replay.capacity=100000"),
    ),
    "cartpole": ("--env", "CartPole-v1"),
}
ENDLESS = ("--steps", "100000000", "training.goal=1000000")
START_SECONDS = 60.0
Line = dict[str, Any]


def learning(moments: Sequence[Moment], learners: int) -> list[Moment]:
    """Returns the moments at which all ``learners`` were there and learning had begun."""
    return [one for one in moments if one.learner_steps and one.learners == learners]


def run(task: str, learners: int, seconds: float, seed: int, folder: Path) -> Line:
    """Trains for ``seconds`` from the first learner step on; returns what was done in them."""
    directory = RunDirectory(folder / "run")
    words = [*TASKS[task], *ENDLESS, "--learners", str(learners), "--seed", str(seed), "--output", str(directory.path)]
    load = psutil.getloadavg()[0]
    with subprocess.Popen(
        [sys.executable, "-m", "adql_services", "train", *words], stderr=(folder / "log").open("w")
    ) as process:
        try:
            wait_until(lambda: _learned_for(directory, learners, seconds), START_SECONDS + seconds)
        finally:
            process.send_signal(signal.SIGINT)
    summary = json.loads(directory.summary.read_bytes())
    return {"case": "run", "task": task, "learners": learners, "seed": seed, "load": round(load, 2)} | _told(
        directory, learners, summary
    )


def _learned_for(directory: RunDirectory, learners: int, seconds: float) -> bool:
    moments = learning(read_moments(directory.progress), learners)
    return bool(moments) and moments[-1].wall_seconds - moments[0].wall_seconds >= seconds


def _told(directory: RunDirectory, learners: int, summary: Mapping[str, Any]) -> Line:
    moments = learning(read_moments(directory.progress), learners)
    seconds = moments[-1].wall_seconds - moments[0].wall_seconds
    learned = moments[-1].learner_steps - moments[0].learner_steps
    acted = moments[-1].environment_steps - moments[0].environment_steps
    return {
        "learner_steps_per_second": round(learned / seconds, 1),
        "environment_steps_per_second": round(acted / seconds),
        "updates_per_second": round(learned / seconds * summary["updates"]["applied"] / summary["learner_steps"], 1),
        "staleness_mean": round(summary["staleness"]["mean"], 2),
        "staleness_p99": summary["staleness"]["p99"],
        "cpu_seconds_per_thousand_steps": round(1000 * summary["cpu_seconds"] / summary["learner_steps"], 2),
        "time_percent": _shares(summary["activity_seconds"].values()),
        "curve": [
            [round(_when(one.environment_steps, moments), 2), one.environment_steps, one.mean]
            for one in read_evaluations(directory.evaluations)
        ],
    }


def _shares(processes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Where the learners' time went, in percent of what they counted."""
    spent = {name: sum(one[name] for one in processes) for name in next(iter(processes))}
    return {name: round(100 * seconds / sum(spent.values()), 1) for name, seconds in spent.items()}


def _when(environment_steps: int, moments: Sequence[Moment]) -> float:
    """Wall seconds at which the run had taken so many environment steps."""
    later = (one.wall_seconds for one in moments if one.environment_steps >= environment_steps)
    return next(later, moments[-1].wall_seconds)


def summed_up(lines: Sequence[Line]) -> list[Line]:
    """Returns a line a number of learners: its median pace, and that of the fewest learners as a multiple of it."""
    numbers = sorted({line["learners"] for line in lines})
    rates = {
        number: [line["learner_steps_per_second"] for line in lines if line["learners"] == number] for number in numbers
    }
    alone = median(rates[numbers[0]])
    return [
        {
            "case": f"{number} learners, {lines[0]['task']}",
            "runs": len(rates[number]),
            "learner_steps_per_second": median(rates[number]),
            f"times_pace_of_{numbers[0]}": round(alone / median(rates[number]), 3),
        }
        for number in numbers
    ]


def plot(lines: Sequence[Line], path: Path) -> None:
    """Draws greedy return against wall time and against environment steps, a line a run."""
    figure = Figure(figsize=(10.0, 4.0), layout="constrained")
    numbers = sorted({line["learners"] for line in lines})
    for panel, what, place in zip(figure.subplots(1, 2), ("seconds", "environment steps"), (0, 1), strict=True):
        for line in lines:
            x, y = [each[place] for each in line["curve"]], [each[2] for each in line["curve"]]
            panel.plot(x, y, color=f"C{numbers.index(line['learners'])}", linewidth=0.9, alpha=0.7)
        panel.set(xlabel=f"{what} of training", ylabel="mean return of 20 greedy episodes")
        panel.spines[["top", "right"]].set_visible(False)
    for place, number in enumerate(numbers):
        figure.axes[0].plot([], [], color=f"C{place}", label=f"{number} learners")
    figure.legend(loc="outside upper center", ncols=len(numbers), frameon=False, fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Runs all rounds and prints the lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=TASKS, default="minatar")
    parser.add_argument("--learners", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    lines = []
    for seed, learners in itertools.product(range(options.rounds), options.learners):
        with tempfile.TemporaryDirectory() as folder:
            lines.append(run(options.task, learners, options.seconds, seed, Path(folder)))
        print(json.dumps(lines[-1]), flush=True)
    for line in summed_up(lines):
        print(json.dumps(line))
    if options.plot:
        plot(lines, options.plot)


if __name__ == "__main__":
    main()
