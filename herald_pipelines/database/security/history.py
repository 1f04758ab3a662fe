"""What the ops database remembers of security: when each finding was first and last seen, and every scan.

Not here: finding (the rules), judging what is new (checks.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from herald_pipelines.database.security.acceptance import Weighed
from herald_pipelines.database.security.findings import Judgement, Severity
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Session
from herald_pipelines.values import DatabaseIdentity


@dataclass(frozen=True)
class Remembered:
    """One life of a finding: from when it was first seen to when it was no more."""

    id: str
    severity: Severity
    first_window: str
    first_seen_at: datetime
    resolved_window: str | None
    resolved_at: datetime | None


@dataclass(frozen=True)
class History:
    """What is known of the findings of a database."""

    open: Mapping[str, Remembered]
    """By the finding's id."""
    closed: tuple[Remembered, ...]
    """Resolved since the time that was asked for."""
    last_scan_at: datetime | None
    """The latest of the task that was asked for, before now."""


def record_scan(
    ops: Session,
    identity: DatabaseIdentity,
    *,
    task: str,
    window: str,
    judgement: Judgement,
    weighed: Sequence[Weighed],
    run_id: str,
) -> None:
    """Write a scan: findings opened, seen again or resolved, in the session's one transaction.

    A finding whose rule could not be judged stays as it was. The same window again changes no first or last window
    that it wrote before, so that what is new in it stays new.

    Args:
        ops: writable session in the ops database.
        identity: of the database.
        task: of the calendar.
        window: window key.
        judgement: what the rules gave.
        weighed: the findings with what is accepted.
        run_id: of the run.
    """
    about = _about(identity)
    ops.fetch(
        "security/record_findings", **about, window=window, rows=to_json([_row(each) for each in weighed])
    )
    ops.fetch(
        "security/resolve_findings",
        **about,
        window=window,
        findings=[each.finding.id for each in weighed],
        hidden=sorted(judgement.hidden_rules),
    )
    ops.fetch(
        "security/record_scan",
        **about,
        task=task,
        window=window,
        rules=len(judgement.rules),
        hidden=to_json([{"rule": each.rule, "reason": each.reason} for each in judgement.hidden]),
        counts=to_json(count_open(weighed)),
        accepted=sum(each.is_accepted for each in weighed),
        run_id=run_id,
    )  # fmt: skip


def read_history(ops: Session, identity: DatabaseIdentity, *, task: str, since: date) -> History:
    """Return what is remembered of a database.

    Args:
        ops: session in the ops database.
        identity: of the database; findings of another one that the name stood for are not of it.
        task: whose last scan is asked for.
        since: how far back resolved findings are told.
    """
    rows = [
        Remembered(
            id=row["finding"],
            severity=Severity(row["severity"]),
            first_window=row["first_window_key"],
            first_seen_at=row["first_seen_at"],
            resolved_window=row["resolved_window_key"],
            resolved_at=row["resolved_at"],
        )
        for row in ops.fetch("security/list_findings", **_about(identity), since=since)
    ]
    last = ops.fetch_one("security/find_last_scan", **_about(identity), task=task)["at"]
    return History(
        open={row.id: row for row in rows if row.resolved_at is None},
        closed=tuple(row for row in rows if row.resolved_at is not None),
        last_scan_at=last,
    )


def count_open(weighed: Sequence[Weighed]) -> dict[str, int]:
    """Count what is not accepted, by severity."""
    return {
        severity.value: sum(
            each.finding.found.severity is severity and not each.is_accepted for each in weighed
        )
        for severity in Severity
    }


def _row(each: Weighed) -> dict[str, Any]:
    found = each.finding.found
    return {
        "finding": each.finding.id,
        "rule": each.finding.rule,
        "object_name": found.object_name,
        "severity": found.severity.value,
        "evidence": found.evidence,
        "fix": found.fix,
        "reference": each.finding.reference,
        "accepted_reason": each.acceptance.reason if each.acceptance else None,
        "accepted_until": each.acceptance.until if each.acceptance else None,
    }


def _about(identity: DatabaseIdentity) -> dict[str, object]:
    return {
        "database": identity.name,
        "system_identifier": identity.system_identifier,
        "database_oid": identity.database_oid,
    }
