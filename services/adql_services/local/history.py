"""The evaluations of a run, read from their CSV file for views."""

from dataclasses import dataclass
from pathlib import Path

from adql.files import read_rows


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One line of evaluations.csv, as far as plots need it."""

    purpose: str
    learner_steps: int
    environment_steps: int
    mean: float
    lowest: float
    highest: float


def read_evaluations(path: Path) -> list[Evaluated]:
    """Returns the lines of evaluations.csv that are whole."""
    return [evaluated for row in read_rows(path) if (evaluated := _evaluated(row))]


def _evaluated(row: dict[str, str]) -> Evaluated | None:
    try:
        return Evaluated(
            row["purpose"],
            int(row["learner_steps"]),
            int(row["environment_steps"]),
            *(float(row[name]) for name in ("mean", "lowest", "highest")),
        )
    except (KeyError, TypeError, ValueError):
        return None
