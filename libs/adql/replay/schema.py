"""What a transition of this run looks like; the gate that every insert has to pass whole."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adql.errors import InvalidTransitionError, MalformedBodyError
from adql.frames import FRAME, FRAME_BYTES, check_lengths
from adql.types import OBSERVATIONS, Array, ArraySpec


@dataclass(frozen=True, slots=True)
class TransitionSchema:
    """The columns of a table and the bounds of their values."""

    columns: tuple[ArraySpec, ...]
    """Name, shape and dtype of one transition's part in each column of TransitionBatch, in order."""
    actions: int
    """Actions are 0..actions − 1."""
    observations: int | None = None
    """Observations are 0..observations − 1 of a Discrete space; None for a Box."""
    frame: ArraySpec | None = None
    """One frame of a stack: an insert then has m of them, compressed, in FRAME_BYTES and FRAME, each once, and its
    observations are int32 places among them, the oldest frame first. None: the observations themselves are in the
    columns."""

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """What a transition is made of, in order: the columns, and one frame where there are any."""
        return self.columns if self.frame is None else (*self.columns, self.frame)

    @property
    def row_bytes(self) -> int:
        """Bytes of one transition, less its frames."""
        return sum(column.size * np.dtype(column.dtype).itemsize for column in self.columns)

    def check(self, batch: Mapping[str, Array]) -> int:
        """Returns the number of rows of ``batch``, which is then fit to be inserted if its frames are frames.

        Raises:
            InvalidTransitionError: names the column, what it holds and what it must hold.
        """
        names = [column.name for column in self.columns] + ([] if self.frame is None else [FRAME_BYTES, FRAME])
        if list(batch) != names:
            raise InvalidTransitionError(f"columns {list(batch)}, must be {names} in this order")
        rows = len(batch["action"]) if batch["action"].ndim else 0
        if rows == 0:
            raise InvalidTransitionError("no transition in the insert; send at least 1")
        for column in self.columns:
            _check_layout(column, rows, batch[column.name])
            _check_finite(column.name, batch[column.name])
        self._check_ranges(batch)
        if self.frame is not None:
            _check_frames(batch)
        return rows

    def _check_ranges(self, batch: Mapping[str, Array]) -> None:
        _check_range("action", batch["action"], 0, self.actions - 1)
        _check_range("discount", batch["discount"], 0.0, 1.0)
        if self.observations is not None:
            _check_range("observation", batch["observation"], 0, self.observations - 1)
            _check_range("next_observation", batch["next_observation"], 0, self.observations - 1)


def _check_frames(batch: Mapping[str, Array]) -> None:
    """Refuses places outside the frames, and frames that no observation names."""
    for column in (ArraySpec(FRAME_BYTES, (), "int32"), ArraySpec(FRAME, (), "uint8")):
        _check_layout(column, len(batch[column.name]) if batch[column.name].ndim else 0, batch[column.name])
    try:
        check_lengths(batch)
    except MalformedBodyError as error:
        raise InvalidTransitionError(f"{error}; nothing was inserted", field=FRAME_BYTES) from None
    frames = len(batch[FRAME_BYTES])
    for name in OBSERVATIONS:
        _check_range(name, batch[name], 0, frames - 1)
    named = np.zeros(frames, np.bool_)
    for name in OBSERVATIONS:
        named[batch[name]] = True
    if not named.all():
        raise InvalidTransitionError(
            f"{FRAME} {int(named.argmin())} of 0..{frames - 1} is in no observation; send only used ones; "
            "nothing was inserted",
            field=FRAME,
        )


def check_td_errors(td_errors: Array, rows: int) -> None:
    """Refuses TD errors that are not a finite float32 vector of ``rows``.

    Raises:
        InvalidTransitionError: names what they are and what they must be.
    """
    _check_layout(ArraySpec("td_error", ()), rows, td_errors)
    _check_finite("td_error", td_errors)


def _check_layout(column: ArraySpec, rows: int, values: Array) -> None:
    wanted = (rows, *column.shape)
    if values.shape != wanted or values.dtype != column.dtype:
        raise InvalidTransitionError(
            f"{column.name} is {values.dtype}{list(values.shape)}, must be {column.dtype}{list(wanted)}; "
            "nothing was inserted",
            field=column.name,
        )


def _check_finite(name: str, values: Array) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InvalidTransitionError(f"{name} is not finite in row {row}; nothing was inserted", field=name)


def _check_range(name: str, values: Array, low: float, high: float) -> None:
    if values.min() < low or values.max() > high:
        worst = values.min() if values.min() < low else values.max()
        raise InvalidTransitionError(f"{name} {worst} is outside {low}..{high}; nothing was inserted", field=name)
