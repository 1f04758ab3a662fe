"""Pure: verdicts on the indexes as a whole, for asset checks. Not here: verdicts on one index (verdicts.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

from herald_pipelines.database.indexes.bloat import BloatEstimate
from herald_pipelines.database.indexes.facts import IndexFacts
from herald_pipelines.database.indexes.report import RebuildReport
from herald_pipelines.database.indexes.tables import TABLE_ROWS
from herald_pipelines.database.indexes.verdicts import UsageWindow
from herald_pipelines.tasks import CheckVerdict

KEPT_PROMISE = 0.8
"""A rebuild that achieves less of its promise than this was promised on a wrong estimate."""


def check_validity(rows: Sequence[dict[str, Any]]) -> CheckVerdict:
    """Judge that no index is invalid.

    Args:
        rows: of `describe_indexes`.
    """
    invalid = _named(rows, "invalid")
    return CheckVerdict(
        "no_invalid_indexes",
        passed=not invalid,
        is_error=True,
        summary=_list_or("no index is invalid", invalid),
        metadata={"invalid": len(invalid)},
    )


def check_bloat(rows: Sequence[dict[str, Any]], bloat: Mapping[int, BloatEstimate]) -> CheckVerdict:
    """Judge that no index is bloated.

    Args:
        rows: of `describe_indexes`.
        bloat: by oid; the worst one that was confirmed is told.
    """
    bloated = _named(rows, "bloated")
    worst = max((estimate.ratio for estimate in bloat.values() if estimate.confirmed), default=0.0)
    return CheckVerdict(
        "bloat_below_threshold",
        passed=not bloated,
        is_error=False,
        summary=_list_or("no index is bloated", bloated),
        metadata={"bloated": len(bloated), "worst_confirmed_ratio": round(worst, 4)},
    )


def check_age(
    facts: Sequence[IndexFacts], usage: Mapping[int, UsageWindow], needed_days: int
) -> CheckVerdict:
    """Judge that the use of every index is known for as long as a verdict on it needs.

    Args:
        facts: all indexes.
        usage: by oid.
        needed_days: length of the usage window.
    """
    # Partitions come and go; those of an index are judged together.
    judged = [index for index in facts if not index.is_partitioned and index.parent_oid is None]
    young = [index for index in judged if index.oid not in usage or usage[index.oid].days < needed_days]
    known = max((window.days for window in usage.values()), default=0.0)
    return CheckVerdict(
        "statistics_old_enough",
        passed=not young,
        is_error=False,
        summary=f"the use of {len(young)} of {len(judged)} indexes is known for less than {needed_days} days"
        if young
        else f"the use of every index is known for {needed_days} days",
        metadata={"too_young": len(young), "days_known": round(known, 2)},
    )


def check_promise(report: RebuildReport) -> CheckVerdict:
    """Judge that every rebuild reclaimed about what its estimate had promised."""
    broken = [each.name for each in report.done if each.achieved_bytes < KEPT_PROMISE * each.promised_bytes]
    return CheckVerdict(
        "promised_gain_achieved",
        passed=not broken,
        is_error=False,
        summary=_list_or(f"{len(report.done)} rebuilds gave what was promised", broken),
        metadata={"promised_bytes": report.promised_bytes, "achieved_bytes": report.achieved_bytes},
    )


def check_leftovers(report: RebuildReport) -> CheckVerdict:
    """Judge that nothing of an interrupted rebuild is left; what is kept is named, with what a person can do.

    A leftover that this role may not drop, or somebody's lock keeps, is no reason to do all else again: it does not
    fail the window. Nobody queries it and every write pays for it, so it is an error for `no_invalid_indexes` too.
    """
    kept = [f"{each.name}: {each.reason}" for each in report.leftovers if each.is_kept]
    return CheckVerdict(
        "no_leftovers",
        passed=not kept,
        is_error=False,
        summary=_list_or("nothing is left of interrupted rebuilds", kept),
        metadata={"kept": len(kept), "dropped": len(report.leftovers) - len(kept)},
    )


def _named(rows: Sequence[dict[str, Any]], kind: str) -> list[str]:
    return [
        f"{row['schema']}.{row['index']}"
        for row in rows
        if any(verdict["kind"] == kind for verdict in row["verdicts"])
    ]


def _list_or(nothing: str, texts: Sequence[str]) -> str:
    more = f" and {len(texts) - TABLE_ROWS} more" if len(texts) > TABLE_ROWS else ""
    return f"{'; '.join(texts[:TABLE_ROWS])}{more}" if texts else nothing
