"""What the bounds of partitions by time mean: moments, the step from one to the next, the names they are given. Pure.

Not here: reading them (store.py), what follows from them (plan.py, upcoming.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_RANGE = re.compile(r"FOR VALUES FROM \((?P<lower>.*)\) TO \((?P<upper>.*)\)", re.DOTALL)
_MOMENT = re.compile(r"'(\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d{1,6})?)?(?:[+-]\d\d(?::\d\d){0,2})?)'")
UNLIMITED = frozenset({"MINVALUE", "MAXVALUE", "'infinity'", "'-infinity'"})
LATEST_YEAR = 9000
LOOKED_AT = 3
"""Newest partitions that tell the step and the name of the next."""
MOST_NAME_BYTES = 63
# By which names may say when a partition begins, the finest first: %q is the quarter.
FORMATS = (
    "%Y_%m_%d_%H%M", "%Y%m%d%H%M", "%Y%m%d_%H%M", "%Y_%m_%d_%H", "%Y%m%d%H", "%Y%m%d_%H",
    "%Y_%m_%d", "%Y-%m-%d", "%Y%m%d", "%Y_%m", "%Y-%m", "%Ym%m", "%YM%m", "%Y%m",
    "%G_w%V", "%Gw%V", "%GW%V", "%Y_q%q", "%Yq%q", "%YQ%q", "%Y",
)  # fmt: skip


@dataclass(frozen=True)
class Span:
    """From when to when a partition holds rows; the end is not in it. None: without limit."""

    lower: datetime | None
    upper: datetime | None

    def overlaps(self, other: "Span") -> bool:
        """Whether a moment is in both."""
        starts_before = self.lower is None or other.upper is None or self.lower < other.upper
        return starts_before and (other.lower is None or self.upper is None or other.lower < self.upper)


@dataclass(frozen=True)
class Step:
    """From the beginning of a partition to the beginning of the next."""

    months: int
    rest: timedelta

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return the end of the partition that begins at a moment.

        >>> paris = ZoneInfo("Europe/Paris")
        >>> Step(1, timedelta()).after(datetime(2026, 2, 28, 23, tzinfo=UTC), paris).isoformat()
        '2026-03-31T22:00:00+00:00'
        """
        if self.rest % timedelta(days=1):
            return moment + self.rest
        local = moment.astimezone(zone).replace(tzinfo=None)
        month = local.year * 12 + local.month - 1 + self.months
        moved = local.replace(year=month // 12, month=month % 12 + 1) if self.months else local
        return (moved + self.rest).replace(tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=65_536)
def read_span(bound: str, zone: ZoneInfo) -> Span | None:
    """Return what a bound means; None for the default partition and for lists.

    Args:
        bound: as pg_get_expr writes it with TimeZone UTC and DateStyle ISO.
        zone: of bounds without one.

    >>> read_span("FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)", ZoneInfo("UTC")).lower.isoformat()
    '2026-01-01T00:00:00+00:00'

    Raises:
        ValueError: it holds what is no time, or one that no calendar of ours knows.
    """
    match = _RANGE.fullmatch(bound)
    return None if match is None else Span(_read(match["lower"], zone), _read(match["upper"], zone))


def split_bound(bound: str) -> tuple[str, str] | None:
    """Return the limits of a range of one column, as SQL; None: it is no range.

    >>> split_bound("FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)")
    ("'2026-01-01'", 'MAXVALUE')
    """
    match = _RANGE.fullmatch(bound)
    return None if match is None else (match["lower"], match["upper"])


def _read(text: str, zone: ZoneInfo) -> datetime | None:
    if text in UNLIMITED:
        return None
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no time that can be reckoned with")
    moment = datetime.fromisoformat(match[1])
    if not 1 < moment.year < LATEST_YEAR:
        raise ValueError(f"{text} is no time that can be reckoned with")
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def write_moment(moment: datetime, type_name: str, zone: ZoneInfo) -> str:
    """Return a moment as a literal of a key's type, without quotes."""
    if type_name == "timestamptz":
        return moment.astimezone(UTC).isoformat()
    local = moment.astimezone(zone).replace(tzinfo=None)
    return local.date().isoformat() if type_name == "date" else local.isoformat(sep=" ")


def find_step(spans: Sequence[Span], zone: ZoneInfo) -> Step | None:
    """Return the step of the newest partitions; None where they differ.

    Args:
        spans: with both ends, oldest first.
        zone: whose months they are.
    """
    steps = {_step(span, zone) for span in spans[-LOOKED_AT:]}
    return steps.pop() if len(steps) == 1 else None


def _step(span: Span, zone: ZoneInfo) -> Step:
    assert span.lower is not None  # noqa: S101 - asked for by find_step
    assert span.upper is not None  # noqa: S101
    lower, upper = (each.astimezone(zone).replace(tzinfo=None) for each in (span.lower, span.upper))
    if _begins_month(lower) and _begins_month(upper):
        return Step((upper.year - lower.year) * 12 + upper.month - lower.month, timedelta())
    local = upper - lower
    return Step(0, local if not local % timedelta(days=1) else span.upper - span.lower)


def _begins_month(moment: datetime) -> bool:
    return moment == moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def name_next(parent: str, named: Sequence[tuple[str, datetime]], lower: datetime, zone: ZoneInfo) -> str:
    """Return the name of the partition that begins at a moment: as its siblings are named, else parent_YYYYMMDD.

    Args:
        parent: name of the partitioned table.
        named: (name, lower bound) of the siblings, oldest first.
        lower: of the new one.
        zone: whose dates names tell.

    >>> utc = ZoneInfo("UTC")
    >>> name_next("m", [("m_2026_11", datetime(2026, 11, 1, tzinfo=UTC))], datetime(2026, 12, 1, tzinfo=UTC), utc)
    'm_2026_12'
    """
    taken = {name for name, _ in named}
    looked_at = [(name, moment.astimezone(zone)) for name, moment in named[-LOOKED_AT:]]
    for form in FORMATS if looked_at else ():
        newest, begins = looked_at[-1]
        head, found, tail = newest.rpartition(_format(form, begins))
        if found and all(f"{head}{_format(form, moment)}{tail}" == name for name, moment in looked_at):
            name = f"{head}{_format(form, lower.astimezone(zone))}{tail}"
            if name not in taken:
                return name
    local = lower.astimezone(zone)
    form = "_%Y%m%d" if local == local.replace(hour=0, minute=0, second=0) else "_%Y%m%d_%H%M"
    return with_suffix(parent, local.strftime(form))


def _format(form: str, moment: datetime) -> str:
    return moment.strftime(form.replace("%q", str((moment.month - 1) // 3 + 1)))


def with_suffix(name: str, suffix: str) -> str:
    """Return a name with a suffix, cut before it where PostgreSQL would cut it behind.

    >>> with_suffix("é" * 40, "_detached_1").encode().__len__()
    62
    """
    room = MOST_NAME_BYTES - len(suffix.encode())
    return name.encode()[:room].decode(errors="ignore") + suffix
