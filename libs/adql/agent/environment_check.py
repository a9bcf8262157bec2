"""What an environment answered, held against what it declares: in one line, before anything computes with it."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from adql.agent.environment_faults import at, check_answer, one_line
from adql.errors import EnvironmentUnusableError
from adql.types import Array


class Space(Protocol):
    """A Box; or a Discrete space, which has ``start`` and ``n`` besides."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one observation."""

    dtype: Any


def check_reset(name: str, answer: object, space: Space) -> None:
    """Refuses what a reset answered unless it is an observation of ``space`` and its info.

    Raises:
        EnvironmentUnusableError: says what was given, and what is wanted.
    """
    observation, _ = _parts(name, 0, answer, ("observation", "info"))
    check_answer(name, 0, read_observation(name, 0, observation, space))


def check_step(name: str, step: int, answer: object, space: Space) -> None:
    """Refuses what step number ``step`` answered unless it is Gymnasium's five values, in their types.

    Raises:
        EnvironmentUnusableError: says what was given, and what is wanted.
    """
    names = ("observation", "reward", "terminated", "truncated", "info")
    observation, reward, terminated, truncated, _ = _parts(name, step, answer, names)
    _check_scalar(name, step, "reward", reward, "iufb", "one real number")
    for flag, value in (("terminated", terminated), ("truncated", truncated)):
        _check_scalar(name, step, flag, value, "biu", "True or False")
    check_answer(name, step, read_observation(name, step, observation, space), float(reward))


def read_observation(name: str, step: int, observation: object, space: Space) -> Array:
    """Returns ``observation`` as an array; its bounds are not looked at where ``space`` is a Box.

    Raises:
        EnvironmentUnusableError: it has another shape, or numbers that ``space`` cannot hold.
    """
    array = _array(observation)
    given = f"an observation of type {type(observation).__name__}" if array is None else _misfit(array, space)
    if array is None or given:
        raise _refused(name, step, given, f"its observation_space is {_declared(space)}")
    return array


def raised(name: str, step: int, error: BaseException) -> EnvironmentUnusableError:
    """Returns what to raise from ``error``, which the environment's own code raised when it was tried."""
    return EnvironmentUnusableError(
        f"environment.id={name!r} raised {one_line(error)} {at(step)}; mend the environment"
    )


def _parts(name: str, step: int, answer: object, names: tuple[str, ...]) -> tuple[Any, ...]:
    if isinstance(answer, tuple) and len(answer) == len(names) and isinstance(answer[-1], Mapping):
        return answer
    types = [type(part).__name__ for part in answer] if isinstance(answer, tuple) else []
    given = f"({', '.join(types)})" if types else type(answer).__name__
    raise _refused(name, step, given, f"wanted is the tuple ({', '.join(names)}), of which info is a dict")


def _check_scalar(name: str, step: int, what: str, value: object, kinds: str, wanted: str) -> None:
    array = _array(value)
    if array is None or array.shape or array.dtype.kind not in kinds:
        raise _refused(name, step, f"{what} of type {type(value).__name__}", f"wanted is {wanted}")


def _misfit(array: Array, space: Space) -> str:
    """Returns in which way ``array`` is no observation of ``space``; nothing where it is one."""
    if array.shape != space.shape:
        return f"an observation of shape {array.shape}"
    discrete = _range(space)
    # What training casts when it puts copies together; an index may not be a truth value besides.
    if not np.can_cast(array.dtype, space.dtype, "same_kind") or (discrete and array.dtype.kind == "b"):
        return f"an observation of dtype {array.dtype}"
    return f"observation {array}" if discrete and int(array) not in discrete else ""


def _declared(space: Space) -> str:
    discrete = _range(space)
    if discrete:
        return f"Discrete, one integer from {discrete[0]} to {discrete[-1]}"
    return f"Box of shape {space.shape} and dtype {space.dtype}"


def _range(space: Space) -> range | None:
    """The observations of a Discrete space; None where it is a Box."""
    first, count = getattr(space, "start", None), getattr(space, "n", None)
    return None if first is None or count is None else range(int(first), int(first) + int(count))


def _array(value: object) -> Array | None:
    try:
        return np.asarray(value)
    except Exception:  # foreign types may raise anything
        return None


def _refused(name: str, step: int, given: str, wanted: str) -> EnvironmentUnusableError:
    return EnvironmentUnusableError(f"environment.id={name!r} gave {given} {at(step)}, {wanted}: mend the environment")
