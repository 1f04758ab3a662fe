"""What the models of the settings are made of: the strict base, names, days, numbers with their limits."""

import re
from collections.abc import Mapping
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

OPS = "ops"
"""Name of the ops database; reserved."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# server settings are 32-bit milliseconds, and 0 would mean "no timeout"
_SHORTEST_TIMEOUT_SECONDS, _LONGEST_TIMEOUT_SECONDS = 0.001, 2_147_483


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is a lower-case letter, then letters, digits and _, at most 63 in all")
    return name


def _check_database_name(name: str) -> str:
    if name == OPS:
        raise ValueError("the name is reserved for our own database; its settings are under the key ops")
    return _check_name(name)


def _check_date(value: object) -> object:
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    if isinstance(value, date):
        return value
    raise ValueError("must be a date such as 2026-11-24")


Name = Annotated[str, AfterValidator(_check_name)]
DatabaseName = Annotated[str, AfterValidator(_check_database_name)]
Day = Annotated[date, BeforeValidator(_check_date)]
Count = Annotated[int, Field(strict=True, ge=0)]
CountFromOne = Annotated[int, Field(strict=True, ge=1)]
Seconds = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Budget = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Timeout = Annotated[float, Field(strict=True, ge=_SHORTEST_TIMEOUT_SECONDS, le=_LONGEST_TIMEOUT_SECONDS)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
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
