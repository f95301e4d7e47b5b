"""What every table of a preset has in common: frozen, nothing unknown, nothing converted.

A string is never taken for a number; a whole number is accepted where a number is asked for.
Checks of one value live beside it as validators and raise `InvalidValue`; checks across keys
are in `preset.rules`.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_SEED = 2**31 - 1
MAX_STEPS = 10_000_000
NAME = re.compile(r"(?!\d+$)[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class InvalidValue(ValueError):
    """A value that its key does not take: what is wrong, and how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Section(BaseModel):
    """A table of a preset; its attributes are the keys, documented once, in their fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _whole_steps(value: float) -> float:
    if value >= 1 and value != int(value):
        raise InvalidValue(
            f"{value} is neither a share nor a number of steps",
            "use a share below 1, or a whole number of steps",
        )
    return value


def _plain_name(value: str) -> str:
    if value and not NAME.fullmatch(value):
        raise InvalidValue(
            f"'{value}' is not a valid name",
            "use up to 64 letters, digits, '-' or '_', and not only digits",
        )
    return value


ShareOrSteps = Annotated[float, Field(ge=0, le=MAX_STEPS), AfterValidator(_whole_steps)]
"""Below 1 a share of a whole, from 1 on a number of steps; `plan.steps_of` tells the two apart."""

PlainName = Annotated[str, AfterValidator(_plain_name)]
"""Fit for a folder, a command line's dotted key and a report; digits alone would be an index."""

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
