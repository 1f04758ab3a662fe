"""What the models of the settings are made of: the strict base, names, days, numbers with their limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from herald_pipelines.slots import FIRST_DAY, LAST_DAY

OPS = "ops"
"""Name of the ops database; reserved."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# the server's timeouts are 32-bit milliseconds, of which 0 would mean "none": 24 days
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.001, 2_147_483


@dataclass(frozen=True)
class Range:
    """The numbers that a setting takes, both ends included; no number is in it that is not finite."""

    lowest: float
    highest: float

    def __call__(self, value: float) -> float:
        """Return a value that lies within.

        Raises:
            ValueError: it does not.
        """
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"must be from {self}")
        return value

    def __str__(self) -> str:
        """Write the range for people.

        >>> str(Range(0.001, 2_147_483))
        '0.001 to 2147483'
        """
        return f"{self.lowest} to {self.highest}"


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is a lower-case letter, then letters, digits and _, at most 63 in all")
    return name


SUBJECTS = frozenset({"host", "dagster", "endpoints", "riot"})
"""What health checks are about, beside databases: rows and verdicts are known by that name."""


def _check_database_name(name: str) -> str:
    if name == OPS:
        raise ValueError("the name is reserved for our own database; its settings are under the key ops")
    if name in SUBJECTS:
        raise ValueError(
            f"the name is reserved for health checks, as are {', '.join(sorted(SUBJECTS - {name}))}"
        )
    return _check_name(name)


def _check_date(value: object) -> object:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else value
    except ValueError:
        day = None
    if not isinstance(day, date):
        raise ValueError("must be a date such as 2026-11-24")  # noqa: TRY004 - what pydantic takes
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"must be from {FIRST_DAY} to {LAST_DAY}")
    return day


Name = Annotated[str, AfterValidator(_check_name)]
DatabaseName = Annotated[str, AfterValidator(_check_database_name)]
Day = Annotated[date, BeforeValidator(_check_date)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Bytes = Annotated[Whole, AfterValidator(Range(0, 2**50))]
Seconds = Annotated[Number, AfterValidator(Range(0, _LONGEST_SECONDS))]
Duration = Annotated[Number, AfterValidator(Range(_SHORTEST_SECONDS, _LONGEST_SECONDS))]
"""Seconds of which none would make no sense."""
Budget = Annotated[Number, AfterValidator(Range(_SHORTEST_SECONDS, 36000))]
"""Seconds of a task; well within the 12 hours after which Dagster ends a run (dagster.yaml)."""
Switch = Annotated[bool, Field(strict=True)]


class Model(BaseModel):
    """Frozen; unknown keys are refused; an empty value counts as a key that is not there."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: object) -> object:
        if data is None:
            return {}
        if not isinstance(data, dict):
            return data
        given = cast("dict[Any, Any]", data)
        return {
            key: value for key, value in given.items() if value is not None or key not in cls.model_fields
        }


def from_folder(path: Path, info: ValidationInfo) -> Path:
    """Return a path of the file as an absolute one: a relative path starts at the folder of herald.yaml."""
    folder = cast("Mapping[str, Path]", info.context or {}).get("folder")
    return folder / path if folder else path
