"""The evaluations of a run as a CSV file that people and plots read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from adql.files import append_lines, read_rows, write_atomically
from adql.parameters.run_record import Result, RunRecord, find_task

TASK_COLUMNS = ("identifier", "purpose", "epoch", "number", "learner_steps", "environment_steps", "episodes", "seed")
RESULT_COLUMNS = (
    "mean",
    "median",
    "interquartile_mean",
    "total",
    "deviation",
    "lowest",
    "highest",
    "mean_length",
    "success_rate",
    "seconds",
)


class EvaluationLog:
    """Appends one synced line a result, and reads them back after a restart."""

    def __init__(self, path: Path) -> None:
        self._path, self._unwritten = path, ""
        self.results: list[Result] = []

    def load(self, record: RunRecord) -> None:
        """Reads the results that ``record`` knows as reported, and drops torn lines and those reported after it."""
        rows = [row for row in read_rows(self._path) if _is_whole(row)]
        self.results = [result for row in rows if (result := _result(row)) and _is_known(result, record)]
        content = ("\n".join([_header(), *(_line(result) for result in self.results)]) + "\n").encode()
        if not (self._path.exists() and self._path.read_bytes() == content):
            write_atomically(self._path, content)

    def append(self, result: Result) -> None:
        """Adds a result, after those that the file still lacks.

        Raises:
            OSError: the file lacks it until a later one can be written; ``results`` has it.
        """
        self.results.append(result)
        self._unwritten += _line(result) + "\n"
        append_lines(self._path, self._unwritten)
        self._unwritten = ""


def _is_known(result: Result, record: RunRecord) -> bool:
    identifier = result.task.identifier
    return identifier < record.next_identifier and find_task(record, identifier) is None


def _is_whole(row: Mapping[str, str]) -> bool:
    return all(name in row for name in (*TASK_COLUMNS, *RESULT_COLUMNS))


def _result(row: Mapping[str, str]) -> Result | None:
    values: dict[str, Any] = {name: row[name] or None for name in RESULT_COLUMNS}
    values["task"] = {name: row[name] for name in TASK_COLUMNS}
    try:
        return msgspec.convert(values, Result, strict=False)
    except msgspec.ValidationError:
        return None


def _header() -> str:
    return ",".join((*TASK_COLUMNS, *RESULT_COLUMNS))


def _line(result: Result) -> str:
    values = [getattr(result.task, name) for name in TASK_COLUMNS]
    values += ["" if (value := getattr(result, name)) is None else value for name in RESULT_COLUMNS]
    return ",".join(str(value) for value in values)
