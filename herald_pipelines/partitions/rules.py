"""The rules of herald.yaml, fitted to the partitioned tables that are there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from herald_pipelines.errors import UsageError, unknown_value
from herald_pipelines.partitions.facts import Inventory, Parent
from herald_pipelines.settings import PartitionSettings
from herald_pipelines.settings.partitions import split_keep, split_table


@dataclass(frozen=True)
class Rule:
    """What holds for one partitioned table."""

    parent: Parent
    settings: PartitionSettings

    @property
    def zone(self) -> ZoneInfo:
        """Of its dates."""
        return ZoneInfo(self.settings.time_zone)


def fit_rules(
    inventory: Inventory, settings: Mapping[str, PartitionSettings], database: str
) -> dict[int, Rule]:
    """Return the rules by the oid of their table.

    Args:
        inventory: what there is.
        settings: of the database, by schema.table.
        database: its name, for errors.

    Raises:
        UsageError: a rule is for a table that is not there, or whose partitions are no ranges of time.
    """
    rules: dict[int, Rule] = {}
    for text, rule in settings.items():
        parent = inventory.find(*split_table(text))
        if parent is None:
            raise unknown_value(
                f"partitioned table at databases.{database}.partitions",
                text,
                (each.label for each in inventory.parents),
                hint="write its name as the catalog has it, with its schema",
            )
        if parent.oid in rules:
            raise UsageError(f"databases.{database}.partitions names {parent.label} twice")
        if parent.why_manual is not None:
            raise UsageError(
                f"databases.{database}.partitions.{text}: {parent.why_manual}",
                hint="its partitions are made and dropped by hand; take the rule out",
            )
        rules[parent.oid] = Rule(parent, rule)
    return rules


def moment_of(window: str) -> datetime:
    """Return the moment that plans of a window are made for: the beginning of its day, or its very minute (UTC).

    >>> moment_of("2026-11-24").isoformat()
    '2026-11-24T00:00:00+00:00'
    """
    return datetime.fromisoformat(window).replace(tzinfo=UTC)


def cutoff(keep: str, at: datetime) -> datetime | None:
    """Return the moment at or before which a partition must have ended to have expired; None: none expires.

    >>> cutoff("365 days", datetime(2026, 11, 30, tzinfo=UTC)).date().isoformat()
    '2025-11-30'
    >>> cutoff("1 month", datetime(2026, 3, 31, tzinfo=UTC)).date().isoformat()
    '2026-02-28'
    """
    parts = split_keep(keep)
    if parts is None:
        return None
    number, unit = parts
    if unit in ("day", "week"):
        return at - timedelta(days=number * (7 if unit == "week" else 1))
    month = at.year * 12 + at.month - 1 - number * (12 if unit == "year" else 1)
    if month < 12:  # noqa: PLR2004 - before the first year that a date can have
        return datetime.min.replace(tzinfo=UTC)
    for day in range(at.day, 0, -1):
        try:
            return at.replace(year=month // 12, month=month % 12 + 1, day=day)
        except ValueError:
            continue
    raise AssertionError(at)
