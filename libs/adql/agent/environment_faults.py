"""What an environment may do wrong while it is played, said in one line that names it and the step."""

import numpy as np

from adql.errors import EnvironmentFailedError, EnvironmentUnusableError
from adql.types import Array

LARGEST_REWARD = float(np.finfo(np.float32).max)
"""Rewards are stored as float32."""
FOREIGN = (Exception, SystemExit)
"""What foreign code may raise: anything, and it may ask the process to end."""


def check_answer(name: str, step: int, observation: Array, reward: Array | float = 0.0) -> None:
    """Refuses numbers that nothing can be learned from; ``step`` counts from the reset, which is 0.

    Raises:
        EnvironmentUnusableError: names the number; to start again would not mend it.
    """
    if observation.dtype.kind == "f" and not (finite := np.isfinite(observation)).all():
        raise EnvironmentUnusableError(_refusal(name, step, f"observation {observation[~finite][0]}"))
    if not (small := np.abs(reward) <= LARGEST_REWARD).all():
        raise EnvironmentUnusableError(_refusal(name, step, f"reward {np.asarray(reward)[~small][0]}"))


def failure(name: str, step: int, error: BaseException) -> EnvironmentFailedError:
    """Returns what to raise from ``error``, which the environment's own code raised in ``step``."""
    return EnvironmentFailedError(f"environment.id={name!r} raised {one_line(error)} {at(step)}")


def one_line(error: BaseException) -> str:
    """Returns an error of foreign code without its line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def at(step: int) -> str:
    """Returns when ``step`` was, in words."""
    return f"at step {step}" if step else "at its reset"


def _refusal(name: str, step: int, what: str) -> str:
    return (
        f"environment.id={name!r} gave {what} {at(step)}; observations must be finite and rewards within "
        f"±{LARGEST_REWARD:.3g}: mend the environment"
    )
