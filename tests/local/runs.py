"""A made-up run for tests of what shows runs."""

from typing import Any

from adql.config import RunSpecification, specification_from
from adql_services.local.watch import Observation


def specification(**sections: Any) -> RunSpecification:
    """CartPole with its signature."""
    signature = {"observation_shape": [4], "actions": 2, "reward_threshold": 475.0}
    return specification_from({"environment": {"id": "CartPole-v1", "signature": signature}, **sections})


def result(mean: float, learner_steps: int = 1_000, purpose: str = "periodic") -> dict[str, Any]:
    """One evaluation as the parameter server tells it."""
    task = {"purpose": purpose, "episodes": 20, "learner_steps": learner_steps, "environment_steps": 4_000, "seed": 7}
    returns = {"mean": mean, "median": mean, "interquartile_mean": mean, "total": 20 * mean}
    return {**returns, "lowest": mean - 1, "highest": mean + 1, "success_rate": 0.0, "task": task}


def observation(status: str = "running", environment_steps: int = 8_000) -> Observation:
    """A run of two learners, one of which has left."""
    run = {
        "state": {
            "status": status, "environment_steps": environment_steps, "learner_steps": 2_000,
            "version": 250, "epoch": 1, "learners": 1,
        },
        "wall_seconds": 12.3456,
        "activity_seconds": {"learner-0": {"push": 2.0, "gradient": 4.0}},
        "updates": {"applied": 250},
        "updates_by_slot": {"0": 150, "1": 100},
        "environment_steps_by_slot": {"0": 5_000, "1": 3_000},
        "sessions": [{"slot": 0, "role": "both", "environment_steps": 5_000, "last_sequence": 149, "applied": 150}],
        "staleness": {"mean": 1.0, "p50": 1, "p99": 3, "max": 4},
        "staleness_counts": {"0": 50, "1": 150, "4": 50},
        "evaluations": {"waiting": 0, "reported": 2, "last": result(120.0, 2_000), "best": None, "reached": None},
    }  # fmt: skip
    evaluations = (result(40.0), result(120.0, 2_000))
    return Observation(run, {"size": 7_900, "ratio": 15.8}, evaluations, 88.5)


def apart(status: str = "running", environment_steps: int = 8_000) -> Observation:
    """The same run of one learner that only learns and two actors, one of which has left."""
    seen = observation(status, environment_steps)
    seen.run["updates_by_slot"] = {"0": 250}
    seen.run["sessions"] = [
        {"slot": 0, "role": "learner", "environment_steps": 0, "last_sequence": 249, "applied": 250},
        {"slot": 0, "role": "actor", "environment_steps": 5_000, "last_sequence": -1, "applied": 0},
    ]
    return seen
