"""How everything is, as verdicts, for machines and for the UI. Pure."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from herald_pipelines.health.history import Standing
from herald_pipelines.health.results import BADNESS, Executed, Key, Status, key_of
from herald_pipelines.tasks import CheckVerdict, Markdown

MOST_NAMED = 10


def fingerprint(standings: Mapping[Key, Standing]) -> str:
    """Return what is the same as long as no check has another status: what was told last, in a few bytes."""
    rows = sorted((*key, each.state.status.value) for key, each in standings.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def count(statuses: Iterable[Status]) -> dict[str, int]:
    """Count statuses, by name, those that are not there too."""
    counts = Counter(statuses)
    return {status.value: counts[status] for status in Status}


def judge(rows: Sequence[tuple[str, bool, Status, str]]) -> tuple[CheckVerdict, CheckVerdict]:
    """Return the verdicts on all: that nothing critical is unhealthy, and that everything is well.

    Args:
        rows: name, whether critical, status and message of each check.
    """
    down = [row for row in rows if row[1] and row[2] is Status.UNHEALTHY]
    ill = [row for row in rows if row[2] in (Status.UNHEALTHY, Status.DEGRADED)]
    unknown = sum(row[2] is Status.UNKNOWN for row in rows)
    note = f"; {unknown} not known" if unknown else ""
    return (
        CheckVerdict(
            "critical_checks_healthy",
            passed=not down,
            is_error=True,
            summary=_name(down) or f"nothing critical is unhealthy{note}",
            metadata={"unhealthy": len(down)},
        ),
        CheckVerdict(
            "no_unhealthy_checks",
            passed=not ill,
            is_error=False,
            summary=_name(ill) or f"nothing is degraded or unhealthy{note}",
            metadata={"degraded_or_unhealthy": len(ill), "unknown": unknown},
        ),
    )


def verdict_rows(standings: Mapping[Key, Standing], now: datetime) -> list[tuple[str, bool, Status, str]]:
    """Return what `judge` takes; a result that stands no more is unknown."""
    return [
        (
            f"{each.subject}/{each.check}",
            each.critical,
            Status.UNKNOWN if each.is_stale(now) else each.state.status,
            each.message,
        )
        for each in standings.values()
    ]


def executed_rows(executed: Sequence[Executed]) -> list[tuple[str, bool, Status, str]]:
    """Return the same of results."""
    return [
        (
            f"{each.check.subject}/{each.check.name}",
            each.check.critical,
            each.result.status,
            each.result.message,
        )
        for each in executed
    ]


def table(rows: Iterable[tuple[str, bool, Status, str]]) -> Markdown:
    """Return a table for the UI, the worst first."""
    lines = ["| check | status | |", "|---|---|---|"]
    for name, critical, status, message in sorted(rows, key=lambda row: (-BADNESS.index(row[2]), row[0])):
        shown = message.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {name}{' (critical)' if critical else ''} | {status.value} | {shown} |")
    return Markdown("\n".join(lines))


def day_table(rows: Iterable[Mapping[str, Any]], day: datetime) -> Markdown:
    """Return a day by check for the UI, the least uptime first.

    Args:
        rows: of list_rollups.
        day: which.
    """
    lines = [
        "| check | uptime | watched | down s | p95 ms | recoveries | mean s to recover |",
        "|---|---|---|---|---|---|---|",
    ]
    of_day = [row for row in rows if row["period"] == "day" and row["starts_at"] == day]
    for row in sorted(
        of_day, key=lambda row: (row["uptime_ratio"] is None, row["uptime_ratio"], row["subject"])
    ):
        up, mean = row["uptime_ratio"], row["mean_time_to_recover_seconds"]
        lines.append(
            f"| {row['subject']}/{row['check_name']} | {'not watched' if up is None else f'{up:.4%}'}"
            f" | {row['watched_ratio']:.2%} | {row['down_seconds']:.0f} | {row['duration_p95_ms']:.1f}"
            f" | {row['recoveries']} | {'' if mean is None else f'{mean:.0f}'} |"
        )
    return Markdown("\n".join(lines))


def describe(executed: Sequence[Executed], known: Mapping[Key, Standing]) -> list[dict[str, Any]]:
    """Return results as a document has them, by subject and name, with since when the status has been so."""
    rows: list[dict[str, Any]] = []
    for each in sorted(executed, key=lambda each: key_of(each.check)):
        before = known.get(key_of(each.check))
        same = before is not None and before.state.status is each.result.status
        rows.append(
            {
                "subject": each.check.subject,
                "check": each.check.name,
                "critical": each.check.critical,
                "status": each.result.status.value,
                "message": each.result.message,
                "metrics": dict(each.result.metrics),
                "at": each.result.timestamp.isoformat(),
                "duration_seconds": each.result.duration_seconds,
                "frequency_seconds": each.check.frequency_seconds,
                "since": before.state.since.isoformat() if same and before is not None else None,
            }
        )
    return rows


def _name(rows: Sequence[tuple[str, bool, Status, str]]) -> str:
    named = [f"{name} {status.value}: {message}" for name, _, status, message in rows[:MOST_NAMED]]
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return f"{'; '.join(named)}{more}"
