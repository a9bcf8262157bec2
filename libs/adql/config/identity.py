"""What defines a run: the keys that may not change under the same name."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from adql.config.specification import RunSpecification
from adql.errors import WrongRunError

IDENTITY: dict[str, set[str] | bool] = {
    "environment": {"id", "kwargs", "max_episode_steps", "frame_stack", "signature"},
    "network": True,
    "algorithm": True,
    "exploration": True,
    "replay": {"sampler", "min_size", "samples_per_insert", "priority_exponent", "importance_exponent"},
    "update": True,
}
"""Not in it: budget, goal, evaluation, durability, learners and actors, sizes of the table and of requests."""


def config_hash(specification: RunSpecification) -> str:
    """SHA-256 of the identity keys in canonical JSON, as 64 hex digits; equal on every machine."""
    tree = specification.model_dump(mode="json", include=IDENTITY)
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_same_hash(found: str, wanted: str) -> None:
    """Refuses a process whose configuration is another than the run's.

    Raises:
        WrongRunError: they differ.
    """
    if found != wanted:
        raise WrongRunError("configuration differs from this run's in a key that defines it; start with its values")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns ``key was …, now …`` for every leaf in which two trees of settings differ."""
    found = []
    for key in sorted({*old, *new}):
        before, after, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{name}.")
        elif before != after:
            found.append(f"{name} was {before!r}, now {after!r}")
    return found
