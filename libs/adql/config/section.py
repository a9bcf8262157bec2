"""What every section of the configuration is made of."""

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
"""Of a running mean: at 1 nothing would ever enter it, and a bias correction would divide by zero."""
PositiveFloat = Annotated[float, Field(gt=0.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
PositiveInt = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Frozen, closed to unknown keys, no NaN and no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_where_a_number_is_wanted(cls, value: Any, info: ValidationInfo) -> Any:
        """Python's True is 1, and a seed of ``true`` is a slip."""
        truths = [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, bool)]
        if truths and info.field_name is not None:
            kinds = _kinds(cls.model_fields[info.field_name].annotation)
            if bool not in kinds and kinds & {int, float}:
                raise ValueError(f"{str(truths[0]).lower()} is no number; write one")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """Returns the types that ``annotation`` is made of."""
    parts = get_args(annotation)
    return {annotation} if not parts else set().union(*map(_kinds, parts))
