"""summary.json: what came of a run, in figures."""

import importlib.metadata
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adql.config import RunSpecification
from adql.files import write_atomically
from adql_services.local.packages import requirements
from adql_services.local.returns import return_text
from adql_services.local.watch import Observation

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and what it cost."""

    status: str
    """reached, budget, plateau, stopped (by a signal) or failed."""
    cpu_seconds: float | None
    """Of all processes; None where nobody could add them up."""
    process_restarts: int | None
    """None where nobody counted them."""
    reason: str | None = None
    """Why it failed."""


def make_summary(specification: RunSpecification, observation: Observation, outcome: Outcome) -> Tree:
    """Returns the summary of a run that stands as ``observation`` tells."""
    run, state = observation.run, observation.state
    result = observation.run.get("evaluations", {})
    evaluation = result.get("reached") if outcome.status == "reached" else result.get("last")
    return {
        "name": specification.run.name,
        "environment": specification.environment.id,
        "reached": outcome.status == "reached",
        "status": outcome.status,
        **({"reason": outcome.reason} if outcome.reason else {}),
        "goal": specification.goal,
        "wall_seconds": round(run.get("wall_seconds", 0.0), 3),
        "cpu_seconds": None if outcome.cpu_seconds is None else round(outcome.cpu_seconds, 3),
        "environment_steps": observation.environment_steps,
        "learner_steps": observation.learner_steps,
        "version": {"epoch": state.get("epoch"), "number": state.get("version")},
        "updates": run.get("updates"),
        "updates_by_learner": run.get("updates_by_slot", {}),
        "environment_steps_by_actor": run.get("environment_steps_by_slot", {}),
        "evaluation": _evaluation(evaluation),
        "best_evaluation": _evaluation(result.get("best")),
        "evaluations_without_improvement": result.get("plateau", {}).get("evaluations", 0),
        "staleness": run.get("staleness"),
        "staleness_counts": run.get("staleness_counts", {}),
        "activity_seconds": run.get("activity_seconds", {}),
        "process_restarts": outcome.process_restarts,
        "seeds": {"run": specification.run.seed, "evaluation": evaluation["task"]["seed"] if evaluation else None},
        "packages": _packages(),
        "python": platform.python_version(),
    }


def better_than_last(summary: Tree) -> Tree | None:
    """Returns the best evaluation of a run that ended without its goal, unless the last one is just as good."""
    best, last = summary.get("best_evaluation"), summary["evaluation"]
    if summary["reached"] or not (best and last) or best["mean_return"] <= last["mean_return"]:
        return None
    found: Tree = best
    return found


def greedy_returns(summary: Tree) -> str:
    """Returns in words what the run's policy was worth: the one result, or the best and the last one."""
    last, best, goal = summary["evaluation"], better_than_last(summary), summary.get("goal")
    if last is None:
        return "no evaluation yet"
    mean = return_text(last["mean_return"], goal)
    if best is None:
        confirmed = "confirmed by" if last["purpose"] == "confirm" else "over"
        return f"greedy mean return {mean} {confirmed} {last['episodes']} episodes"
    return (
        f"greedy mean return: best {return_text(best['mean_return'], goal)} at {best['learner_steps']:,}, "
        f"last {mean} at {last['learner_steps']:,} learner steps"
    )


def write_summary(summary: Tree, path: Path) -> None:
    """Writes it for people and programs, whole or not at all."""
    write_atomically(path, json.dumps(summary, indent=2).encode() + b"\n")


def read_summary(path: Path) -> Tree:
    """Returns the summary of the last command on this run; nothing where there is none, or it is another file."""
    try:
        summary: Tree = json.loads(path.read_text(encoding="utf-8"))
        msgspec.convert(summary, _Earlier)
    except (OSError, ValueError, msgspec.ValidationError):
        return {}
    return summary


class _EarlierEvaluation(msgspec.Struct):
    """What the next command reads of an evaluation."""

    mean_return: float


class _Earlier(msgspec.Struct):
    """What the next command on a run reads of its summary."""

    reached: bool = False
    environment_steps: int = 0
    learner_steps: int = 0
    evaluation: _EarlierEvaluation | None = None
    evaluations_without_improvement: int = 0
    process_restarts: int | None = 0
    cpu_seconds: float | None = None


def _evaluation(result: Tree | None) -> Tree | None:
    if result is None:
        return None
    return {
        "mean_return": result["mean"],
        "median_return": result["median"],
        "iqm_return": result["interquartile_mean"],
        "cumulative_reward": result["total"],
        "success_rate": result["success_rate"],
        "episodes": result["task"]["episodes"],
        "purpose": result["task"]["purpose"],
        "learner_steps": result["task"]["learner_steps"],
    }


def _packages() -> Tree:
    """The versions of ADQL and of what it needs."""
    return {name: importlib.metadata.version(name) for name in ["adql", *sorted(requirements())]}
