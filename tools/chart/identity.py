"""What defines a run, for the chart, which refuses a change of it before anything is done."""

from typing import Any

from adql.config import RunSpecification, ScheduleSettings
from adql.config.identity import IDENTITY
from tools.chart.leaves import leaves

OF_THE_ENVIRONMENT = {"environment.signature"}
"""Where it is not set the program asks the environment, which the chart cannot."""


def identity() -> dict[str, Any]:
    """Returns the run's name and the keys that define it, with their defaults; a constant schedule is its number."""
    specification = RunSpecification()
    found: dict[str, Any] = {"run.name": specification.run.name}
    for name, keys in IDENTITY.items():
        section = getattr(specification, name)
        found |= dict(leaves(section, f"{name}.", sorted(keys) if isinstance(keys, set) else None))
    return {key: _shortest(default) for key, default in found.items() if key not in OF_THE_ENVIRONMENT}


def _shortest(value: Any) -> Any:
    if not isinstance(value, ScheduleSettings):
        return value
    return value.initial if value.kind == "constant" else value.model_dump(mode="json")
