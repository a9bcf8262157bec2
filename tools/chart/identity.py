"""What defines a run, for the chart, which refuses a change of it before anything is done."""

from collections.abc import Iterable, Iterator
from typing import Any

from adql.config import RunSpecification, ScheduleSettings
from adql.config.identity import IDENTITY
from adql.config.section import Section

OF_THE_ENVIRONMENT = {"environment.signature"}
"""Where it is not set the program asks the environment, which the chart cannot."""


def identity() -> dict[str, Any]:
    """Returns the run's name and the keys that define it, with their defaults; a constant schedule is its number."""
    specification = RunSpecification()
    found: dict[str, Any] = {"run.name": specification.run.name}
    for name, keys in IDENTITY.items():
        section = getattr(specification, name)
        names = sorted(keys) if isinstance(keys, set) else type(section).model_fields
        found |= dict(_leaves(section, names, f"{name}."))
    return {key: default for key, default in found.items() if key not in OF_THE_ENVIRONMENT}


def _leaves(section: Section, names: Iterable[str], above: str) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = getattr(section, name)
        if isinstance(value, ScheduleSettings):
            yield f"{above}{name}", _shortest(value)
        elif isinstance(value, Section):
            yield from _leaves(value, type(value).model_fields, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _shortest(schedule: ScheduleSettings) -> Any:
    return schedule.initial if schedule.kind == "constant" else schedule.model_dump(mode="json")
