"""What the program says of keys of a run together, for the chart, which says so before anything is installed."""

from typing import Any

from adql.config import RunSpecification, ScheduleSettings
from adql.config.applicability import HOMES
from adql.config.section import Section
from adql.config.specification import CAPACITY_PER_LEARNER, MIN_CAPACITY, SignatureSettings
from tools.chart.leaves import leaves


def specification() -> dict[str, Any]:
    """Returns what belongs to what, the keys of schedules, a capacity that is not set, and every key's default.

    A signature is a default by itself: what one that was given does not say.
    """
    found, fields = dict(leaves(RunSpecification())), SignatureSettings.model_fields
    return {
        "homes": [{"choice": choice, "values": values, "keys": keys} for choice, values, keys in HOMES],
        "schedules": [key for key, value in found.items() if isinstance(value, ScheduleSettings)],
        "capacity": {"least": MIN_CAPACITY, "perLearner": CAPACITY_PER_LEARNER},
        "signature": {name: field.default for name, field in fields.items() if not field.is_required()},
        "defaults": {key: _plain(value) for key, value in found.items()},
    }


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Section) else value
