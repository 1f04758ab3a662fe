"""What the ops database remembers of security: when each finding was first and last seen, and every scan.

Not here: finding (the rules), judging what is new (checks.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.database.security.acceptance import Weighed
from herald_pipelines.database.security.findings import Finding, Found, Judgement, Severity
from herald_pipelines.database.security.rules import RULE_TITLES
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.values import DatabaseIdentity


@dataclass(frozen=True)
class Remembered:
    """One life of a finding: from when it was first seen to when it was no more."""

    finding: Finding
    """As it was last seen."""
    first_seen_at: datetime
    resolved_at: datetime | None

    @property
    def id(self) -> str:
        """The finding's."""
        return self.finding.id

    @property
    def severity(self) -> Severity:
        """The finding's, as it was last seen."""
        return self.finding.found.severity


@dataclass(frozen=True)
class History:
    """What is known of the findings of a database."""

    open: Mapping[str, Remembered]
    """By the finding's id."""
    closed: tuple[Remembered, ...]
    """Resolved since the last scan; where there was none, all that ever were."""
    last_scan_at: datetime | None
    """The latest that the task made of another window: what a window tells is the same however often it is run."""

    def is_since(self, moment: datetime | None) -> bool:
        """Whether something happened after the last scan."""
        return moment is not None and (self.last_scan_at is None or moment > self.last_scan_at)


def record_scan(
    ops: Session,
    identity: DatabaseIdentity,
    *,
    task: str,
    window: str,
    judgement: Judgement,
    weighed: Sequence[Weighed],
    unseen: Sequence[Weighed],
    run_id: str,
) -> None:
    """Write a scan: findings opened, seen again or resolved, in the session's one transaction.

    A finding that could not be looked at stays open as it was, and counts.

    Args:
        ops: writable session in the ops database.
        identity: of the database.
        task: of the calendar.
        window: window key.
        judgement: what the rules gave.
        weighed: the findings with what is accepted.
        unseen: open ones that could not be looked at, with the same.
        run_id: of the run.
    """
    about = identity.parameters
    ops.fetch(
        "security/record_findings", **about, window=window, rows=to_json([_row(each) for each in weighed])
    )
    ops.fetch(
        "security/resolve_findings",
        **about,
        window=window,
        findings=[each.finding.id for each in (*weighed, *unseen)],
        rules=list(judgement.rules),
    )
    ops.fetch(
        "security/record_scan",
        **about,
        task=task,
        window=window,
        rules=len(judgement.rules),
        hidden=to_json([{"rule": each.rule, "reason": each.reason} for each in judgement.hidden]),
        counts=to_json(count_open((*weighed, *unseen))),
        accepted=sum(each.is_accepted for each in (*weighed, *unseen)),
        run_id=run_id,
    )  # fmt: skip


def read_history(ops: Session, identity: DatabaseIdentity, *, task: str, window: str | None) -> History:
    """Return what is remembered of a database.

    Args:
        ops: session in the ops database.
        identity: of the database; findings of another one that the name stood for are not of it.
        task: whose last scan is asked for.
        window: the window that is made now, whose own scans are not the last one; None: none is.
    """
    last = ops.fetch_one("security/find_last_scan", **identity.parameters, task=task, window=window)["at"]
    rows = [
        Remembered(
            finding=_finding(row),
            first_seen_at=row["first_seen_at"],
            resolved_at=row["resolved_at"],
        )
        for row in ops.fetch("security/list_findings", **identity.parameters, since=last)
    ]
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


def _finding(row: Row) -> Finding:
    found = Found(row["object_name"], Severity(row["severity"]), row["evidence"], row["fix"])
    return Finding(row["rule"], RULE_TITLES.get(str(row["rule"]), str(row["rule"])), found, row["reference"])


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
