"""What an update leads to, computed beside what everybody sees."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from adql.encodings import check_range
from adql.errors import InvalidUpdateError
from adql.parameters.update_rules import Step, UpdateRule
from adql.types import Float32Array, Parameters, Update, Version

MAX_NORM = 1e15
"""Largest Euclidean norm of an update and of parameters: squares of it still fit the moments of every optimizer."""


@dataclass(frozen=True, slots=True)
class Work:
    """One update that was judged, and where its result goes."""

    update: Update
    behind: int
    """Versions that were applied since the one that it is based on."""
    step: Step
    current: Float32Array
    """(P,), the newest parameters, published."""
    result: Float32Array
    """(P,), a spare vector that nobody else sees."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """The answer to an update that is, or was before, applied."""

    outcome: Literal["applied", "duplicate"]
    applied: Version
    """The version that the update made."""
    staleness: int
    parameters: Parameters
    """The newest ones, to be sent back."""


def compute(rule: UpdateRule, work: Work, encoding: str) -> InvalidUpdateError | None:
    """Writes the next parameters into ``work.result``; returns why they must not be taken, ``rule`` as it was then."""
    try:
        _check_norm("update", work.update.vector)
    except InvalidUpdateError as refusal:
        return refusal
    with np.errstate(all="ignore"):
        rule.apply(work.current, work.update.vector, work.result, work.step)
    try:
        _check_norm("result of the update", work.result)
        check_range(work.result, encoding)  # so that it can be sent back
    except InvalidUpdateError as refusal:
        rule.undo()
        return refusal
    return None


def _check_norm(what: str, vector: Float32Array) -> None:
    with np.errstate(all="ignore"):
        norm = float(np.sqrt(np.dot(vector, vector)))
    if not norm <= MAX_NORM:
        raise InvalidUpdateError(f"{what} is not finite or its norm is beyond {MAX_NORM:g}; pull and go on")
