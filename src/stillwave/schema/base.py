"""Base class and field types of the schema."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def renamed(section: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return a section with the keys of an earlier version renamed, unless it has the new key too."""
    return {
        names[key] if names.get(key, key) not in section else key: value for key, value in section.items()
    }


class Frozen(BaseModel):
    """Base of every recipe model: immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Range(Frozen):
    """A closed interval of a uniform distribution."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self
