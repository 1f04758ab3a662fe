"""What herald.yaml may say of a partitioned table: how long its partitions are kept, and how many are made ahead."""

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from herald_pipelines.settings.fields import Model, Range, Switch, Whole

FOREVER = "forever"
_KEEP = re.compile(r"([1-9][0-9]{0,4}) (day|week|month|year)s?")
_TABLE = re.compile(r'(?:"((?:[^"\0]|"")+)"|([^".\0]+))\.(?:"((?:[^"\0]|"")+)"|([^"\0]+))')


def split_table(text: str) -> tuple[str, str]:
    """Return (schema, name) of a table as herald.yaml writes it: letters as in the catalog, quotes where a dot needs them.

    >>> split_table("public.matches"), split_table('"odd.schema"."a ""b c"')
    (('public', 'matches'), ('odd.schema', 'a "b c'))

    Raises:
        ValueError: it is no table with its schema.
    """
    match = _TABLE.fullmatch(text)
    if match is None:
        raise ValueError("is no table with its schema: write such as public.matches")
    schema, name = match[1] or match[2], match[3] or match[4]
    return (schema.replace('""', '"') if match[1] else schema, name.replace('""', '"') if match[3] else name)


def split_keep(text: str) -> tuple[int, str] | None:
    """Return (number, unit) of how long something is kept; None is for ever.

    >>> split_keep("365 days"), split_keep("18 months"), split_keep("forever")
    ((365, 'day'), (18, 'month'), None)

    Raises:
        ValueError: it is no such text.
    """
    if text == FOREVER:
        return None
    match = _KEEP.fullmatch(text)
    if match is None:
        raise ValueError("write such as 365 days, 52 weeks, 18 months, 2 years or forever")
    return int(match[1]), match[2]


def _check_table(text: str) -> str:
    split_table(text)
    return text


def _check_keep(text: str) -> str:
    split_keep(text)
    return text


def _check_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone: write such as UTC or Europe/Paris") from None
    return text


TableName = Annotated[str, AfterValidator(_check_table)]


class PartitionSettings(Model):
    """The rule of one partitioned table."""

    keep: Annotated[str, AfterValidator(_check_keep)] = "365 days"
    """How long after its upper bound a partition stays (the seed's 365 days)."""
    premake: Annotated[Whole, AfterValidator(Range(0, 100))] = 3
    """Partitions that are there ahead of time."""
    archive: Switch = True
    """Whether a partition goes into the store, and is proven, before it is detached."""
    grace_days: Annotated[Whole, AfterValidator(Range(0, 3650))] = 7
    """Days between detaching and dropping."""
    move_default_rows: Annotated[Whole, AfterValidator(Range(0, 10_000_000))] = 0
    """Rows that a new partition may take over from the default partition, in the one transaction that makes it."""
    time_zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """Of bounds of types date and timestamp, and of the midnights at which months begin."""
