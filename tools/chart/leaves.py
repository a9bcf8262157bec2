"""The keys of the run specification with their values, for what the chart is told of them."""

from collections.abc import Iterable, Iterator
from typing import Any

from adql.config import ScheduleSettings
from adql.config.section import Section


def leaves(section: Section, above: str = "", names: Iterable[str] | None = None) -> Iterator[tuple[str, Any]]:
    """Yields every key below ``section``, or below its fields ``names``, with its value; a schedule is one."""
    for name in type(section).model_fields if names is None else names:
        value = getattr(section, name)
        if isinstance(value, Section) and not isinstance(value, ScheduleSettings):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
