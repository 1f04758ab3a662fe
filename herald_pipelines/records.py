"""What a value becomes in a row of the ops database: JSON, texts without secrets. Not here: any I/O."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import cast

from herald_pipelines.errors import HeraldError

_URL_SECRET = re.compile(r"(://[^\s:/@]*):[^\s/]*@")
_WORD_SECRET = re.compile(r"(?i)(pass(?:word|phrase))(\s*[=:]\s*|\s+(?='))('[^']*'|\S+)")


def describe_error(error: BaseException) -> str:
    """Return the text that the ledger keeps of an error: without secrets, without a traceback.

    >>> describe_error(ValueError("no route to postgresql://herald:hunter2@db/x"))
    'ValueError: no route to postgresql://herald:***@db/x'
    """
    text = (
        error.message if isinstance(error, HeraldError) else f"{type(error).__name__}: {error}".rstrip(": ")
    )
    return clean(text)


def clean(text: str) -> str:
    """Take passwords, and NULs, which a text column refuses, out of a text.

    >>> clean("password=hunter2 in the url, then: alter role a password 'hunter2'")
    'password=*** in the url, then: alter role a password ***'
    >>> clean("password authentication failed for user herald")
    'password authentication failed for user herald'
    """
    return _WORD_SECRET.sub(r"\1\2***", _URL_SECRET.sub(r"\1:***@", text.replace("\0", "")))


def to_json(value: Mapping[str, object] | Sequence[object]) -> str:
    """Write a value as jsonb takes it: times as ISO text, decimals as numbers, NaN and infinities as null.

    >>> to_json({"density": float("nan"), "on": date(2026, 11, 24), "sizes": (1, Decimal("2.5"))})
    '{"density": null, "on": "2026-11-24", "sizes": [1, 2.5]}'

    Raises:
        TypeError: something in it has no place in JSON.
    """
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: object) -> object:
    match value:
        case str():
            return value.replace("\0", "")
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {_plain(str(key)): _plain(each) for key, each in items}
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in cast("list[object]", value)]
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case date():
            return value.isoformat()
        case _:
            return value
