"""``adql evaluate``: plays a stored policy greedily."""

import json
import sys
from pathlib import Path

import numpy as np

from adql.agent.evaluation import EpisodeResults, play_episodes, successes_by_goal
from adql.agent.policy import policy_of
from adql.config import RunSpecification, config_hash, load_specification
from adql.episodes import interquartile_mean
from adql.errors import InputError
from adql.parameters.policies import StoredPolicy
from adql_services.local.run_directory import RunDirectory

Figures = dict[str, float | int | str | None]


def evaluate(path: Path, which: str, episodes: int, seed: int, *, as_json: bool) -> int:
    """Plays ``episodes`` episodes of the best or last policy of the run in ``path``; prints what came of them."""
    for option, value, least in (("--episodes", episodes, 1), ("--seed", seed, 0)):
        if value < least:
            raise InputError(f"{option} {value}: at least {least}")
    directory = RunDirectory(path)
    directory.check_holds_run()
    specification = load_specification(directory.specification, environ={})
    file = directory.best_policy if which == "best" else directory.last_policy
    if which == "best" and not file.exists():
        raise InputError(f"{file} does not exist: no policy was evaluated yet; try --policy last")
    stored = StoredPolicy.read(file)
    stored.check_owner(config_hash(specification))
    policy = policy_of(stored)
    results = play_episodes(specification.environment, policy.network, policy.vector, episodes, seed)
    sys.stdout.write(_told(_about(stored) | _figures(specification, results), as_json))
    return 0


def _about(stored: StoredPolicy) -> Figures:
    """Which policy was played."""
    return {"version": stored.metadata["version"], "learner_steps": int(stored.metadata["learner_steps"])}


def _figures(specification: RunSpecification, results: EpisodeResults) -> Figures:
    successes = successes_by_goal(results, specification.goal)
    return {
        "episodes": len(results.returns),
        "mean_return": float(np.mean(results.returns)),
        "median_return": float(np.median(results.returns)),
        "iqm_return": interquartile_mean(results.returns),
        "min_return": min(results.returns),
        "max_return": max(results.returns),
        "cumulative_reward": float(np.sum(results.returns)),
        "mean_length": float(np.mean(results.lengths)),
        "success_rate": None if successes is None else float(np.mean(successes)),
    }


def _told(figures: Figures, as_json: bool) -> str:
    if as_json:
        return json.dumps(figures) + "\n"
    return "".join(f"{name:18} {_in_words(value)}\n" for name, value in figures.items() if value is not None)


def _in_words(value: float | str) -> str:
    return value if isinstance(value, str) else f"{round(value, 3):,.10g}"
