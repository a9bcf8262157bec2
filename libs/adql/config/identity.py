"""What defines a run: the keys that may not change under the same name."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
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


MOST_NAMED = 5
"""Keys that a refusal names; what differs in more is another task, not a slip."""
MOST_LETTERS = 80
"""Of a value in a refusal: kwargs may be long."""


def identity_keys(specification: RunSpecification) -> dict[str, Any]:
    """Returns the identity keys with their values, as JSON has them."""
    return specification.model_dump(mode="json", include=IDENTITY)


def config_hash(specification: RunSpecification) -> str:
    """SHA-256 of the identity keys in canonical JSON, as 64 hex digits; equal on every machine."""
    tree = identity_keys(specification)
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_same_hash(found: str, wanted: str, keys: Mapping[str, Any] | None = None) -> None:
    """Refuses a process whose configuration is another than the run's; ``keys`` are the run's identity keys.

    Raises:
        WrongRunError: they differ; its details have ``keys``, so that who is refused can name those that do.
    """
    if found != wanted:
        told = {} if keys is None else {"keys": json.dumps(keys)}
        message = "configuration differs from this run's in a key that defines it; start with its values"
        raise WrongRunError(message, **told)


@contextlib.contextmanager
def naming_differences(specification: RunSpecification) -> Iterator[None]:
    """Inside, a refusal of this process's ``specification`` names the keys that differ, with both values.

    Raises:
        WrongRunError: names them, where the side that refused told its own.
    """
    try:
        yield
    except WrongRunError as error:
        if not (named := _named(error, identity_keys(specification))):
            raise
        raise WrongRunError(f"configuration differs from this run's: {named}; start with its values") from None


def _named(error: WrongRunError, own: Mapping[str, Any]) -> str:
    with contextlib.suppress(ValueError, RecursionError):
        theirs = json.loads(str(error.details.get("keys")))
        if isinstance(theirs, dict):
            found = [f"{key} is {_short(run)} there, {_short(here)} here" for key, run, here in _changed(theirs, own)]
            more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            return ", ".join(found[:MOST_NAMED]) + more
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns ``key was …, now …`` for every leaf in which two trees of settings differ."""
    return [f"{name} was {before!r}, now {after!r}" for name, before, after in _changed(old, new)]


def _changed(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*old, *new}):
        before, after, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _changed(before, after, f"{name}.")
        elif before != after:
            yield name, before, after
