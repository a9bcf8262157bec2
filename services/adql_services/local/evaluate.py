"""``adql evaluate``: plays a stored policy greedily."""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from adql.agent.evaluation import EpisodeResults, interquartile_mean, play_episodes, successes_by_goal
from adql.agent.networks import Network, make_network
from adql.config import RunSpecification, config_hash, load_specification
from adql.errors import CheckpointError, InputError
from adql.types import Float32Array
from adql_services.local.run_directory import RunDirectory

SEED = 2**31
"""Beyond every seed of training and of the run's own evaluations."""


def evaluate(path: Path, policy: str, episodes: int, *, as_json: bool) -> int:
    """Plays ``episodes`` episodes of the best or last policy of the run in ``path``; prints what came of them."""
    if episodes < 1:
        raise InputError(f"--episodes {episodes}: at least 1")
    directory = RunDirectory(path)
    if not directory.specification.exists():
        raise InputError(f"{path} holds no run (no run.yaml); name the DIR of an `adql train`")
    specification = load_specification(directory.specification, environ={})
    assert specification.environment.signature is not None, "run.yaml is resolved"
    network = make_network(specification.network, specification.environment.signature)
    file = directory.best_policy if policy == "best" else directory.last_policy
    vector = load_policy(file, network)
    check_owner(file, specification)
    results = play_episodes(specification.environment, network, vector, episodes, SEED)
    sys.stdout.write(_told(_figures(specification, results), as_json))
    return 0


def load_policy(file: Path, network: Network) -> Float32Array:
    """Reads a policy into one flat vector.

    Raises:
        CheckpointError: no such file, corrupt, or of another network.
    """
    try:
        tensors = load_file(file)
    except FileNotFoundError:
        raise CheckpointError(f"{file} does not exist: no policy was evaluated yet; try --policy last") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is not a policy: {error}; take a copy or the other --policy") from None
    found = {name: (tensor.shape, tensor.dtype.name) for name, tensor in tensors.items()}
    wanted = {entry.name: (entry.shape, entry.dtype) for entry in network.manifest.entries}
    if found != wanted:
        raise CheckpointError(f"{file} has arrays {found}, this run's network has {wanted}; it belongs to another run")
    vector = np.concatenate([tensors[entry.name].ravel() for entry in network.manifest.entries])
    if not np.isfinite(vector).all():
        raise CheckpointError(f"{file} holds numbers that are not finite: it is damaged; try the other --policy")
    return vector


def check_owner(file: Path, specification: RunSpecification) -> None:
    """Refuses a policy of the same shape that another environment or other settings made.

    Raises:
        CheckpointError: it says which configuration it belongs to.
    """
    with safe_open(file, framework="np") as opened:
        found = (opened.metadata() or {}).get("config_hash", "none")
    if found != config_hash(specification):
        raise CheckpointError(
            f"{file} belongs to configuration {found[:12]}, this run has {config_hash(specification)[:12]}; "
            "it is another run's policy: evaluate it with its own DIR"
        )


def _figures(specification: RunSpecification, results: EpisodeResults) -> dict[str, float | int | None]:
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


def _told(figures: dict[str, float | int | None], as_json: bool) -> str:
    if as_json:
        return json.dumps(figures) + "\n"
    rounded = {name: round(value, 3) for name, value in figures.items() if value is not None}
    return "".join(f"{name:18} {value:,.10g}\n" for name, value in rounded.items())
