"""Values that change with a clock, each within the bounds of what it is."""

from typing import Any, Literal, Self

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from adql import schedules
from adql.config.section import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Section


class ScheduleSettings(Section):
    """A value that changes with a clock; constant unless told otherwise, and a bare number is a constant."""

    kind: Literal["constant", "linear", "exponential"] = "constant"
    initial: float
    """The value at step 0."""
    final: float | None = None
    """The value approached; needed unless constant."""
    steps: PositiveInt | None = None
    """Linear: steps until ``final``. Exponential: steps in which the distance to ``final`` halves."""

    @model_validator(mode="before")
    @classmethod
    def _constant(cls, value: Any) -> Any:
        """Takes a bare number as a constant schedule."""
        return {"initial": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Says in the JSON schema too that a bare number is a constant schedule, within the bounds of its start."""
        reference = handler(core)
        schedule = handler.resolve_ref_schema(reference)
        number = {key: value for key, value in schedule["properties"]["initial"].items() if key != "description"}
        described = {"description": schedule["description"], "anyOf": [number, dict(schedule)]}
        schedule.clear()
        schedule.update(described)
        return reference

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "constant" and not (self.final is None and self.steps is None):
            raise ValueError(
                "a constant schedule has neither final nor steps; set kind to linear or exponential, or both to null"
            )
        if self.kind != "constant" and (self.final is None or self.steps is None):
            raise ValueError(f"a {self.kind} schedule needs final and steps")
        return self

    def build(self) -> schedules.Schedule:
        """Returns the schedule as a function of the clock."""
        if self.final is None or self.steps is None:
            return schedules.constant(self.initial)
        make = schedules.linear if self.kind == "linear" else schedules.exponential
        return make(self.initial, self.final, self.steps)


class RateScheduleSettings(ScheduleSettings):
    """A step size: positive, though it may fade to 0."""

    initial: PositiveFloat
    """The value at step 0."""
    final: NonNegativeFloat | None = None
    """The value approached; needed unless constant."""


class FractionScheduleSettings(ScheduleSettings):
    """A probability or an exponent from 0 to 1."""

    initial: Fraction
    """The value at step 0."""
    final: Fraction | None = None
    """The value approached; needed unless constant."""
