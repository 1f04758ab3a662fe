"""Pure: verdicts on a scan as a whole, for asset checks."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from herald_pipelines.database.security.acceptance import Weighed
from herald_pipelines.database.security.findings import RANK, SERIOUS
from herald_pipelines.database.security.scan import Past, Scan
from herald_pipelines.tasks import CheckVerdict

MOST_NAMED = 10
OVERDUE = timedelta(days=30)
"""From one audit to the next, a finding is mended or decided on."""
SOON = timedelta(days=35)
"""Until the next audit, at the longest."""


def check_new(scan: Scan, past: Past) -> CheckVerdict:
    """Judge that no earlier window missed a weakness that is there now; an error where one is critical or high."""
    new = [
        each for each in (*scan.weighed, *past.unseen) if each.finding.id in past.new and not each.is_accepted
    ]
    return CheckVerdict(
        "no_new_findings",
        passed=not new,
        is_error=any(each.finding.found.severity in SERIOUS for each in new),
        summary=f"{name_worst(new)} new" if new else f"nothing new{_not_visible(scan)}",
        metadata={"new": len(new), "resolved": len(past.resolved)},
    )


def check_open(scan: Scan, past: Past) -> CheckVerdict:
    """Judge that nothing is weak which the operator does not accept; what cannot be looked at any more still is."""
    weighed = (*scan.weighed, *past.unseen)
    opened = [each for each in weighed if not each.is_accepted]
    over = [each.finding.id for each in opened if each.expired_on is not None]
    said = f"; accepted until lately: {_name(over)}" if over else ""
    return CheckVerdict(
        "no_open_findings",
        passed=not opened,
        is_error=False,
        summary=f"{name_worst(opened)} open{said}{_not_visible(scan)}"
        if opened
        else f"nothing open{_not_visible(scan)}",
        metadata={
            "open": len(opened),
            "accepted": len(weighed) - len(opened),
            "acceptances_over": len(over),
            "not_visible": len(scan.judgement.hidden),
        },
    )


def check_overdue(scan: Scan, past: Past, now: datetime) -> CheckVerdict:
    """Judge that every finding was mended or accepted within a month; an error where one is critical or high."""
    known = past.history.open
    overdue = [
        each
        for each in (*scan.weighed, *past.unseen)
        if not each.is_accepted
        and each.finding.id in known
        and now - known[each.finding.id].first_seen_at > OVERDUE
    ]
    return CheckVerdict(
        "no_overdue_findings",
        passed=not overdue,
        is_error=any(each.finding.found.severity in SERIOUS for each in overdue),
        summary=f"{name_worst(overdue)} open for more than {OVERDUE.days} days"
        if overdue
        else f"nothing is open for more than {OVERDUE.days} days{_not_visible(scan)}",
        metadata={"overdue": len(overdue), "limit_days": OVERDUE.days},
    )


def check_acceptances(scan: Scan, now: datetime) -> CheckVerdict:
    """Judge that what the settings accept is there, and does not end before the next audit."""
    ending = [
        each.finding.id
        for each in scan.weighed
        if each.acceptance is not None and each.acceptance.until <= (now + SOON).date()
    ]
    gone = [risk.finding for risk in scan.unused]
    texts = [
        *([f"over, or ending within {SOON.days} days: {_name(ending)}"] if ending else []),
        *([f"not there any more: {_name(gone)}"] if gone else []),
    ]
    return CheckVerdict(
        "accepted_risks_hold",
        passed=not texts,
        is_error=False,
        summary="; ".join(texts) or "what is accepted is there, and holds until the next audit",
        metadata={"ending": len(ending), "unused": len(gone)},
    )


def name_worst(findings: Sequence[Weighed]) -> str:
    """Count findings by severity and name the worst: "1 high, 2 low (superuser_role:deploy, ...)"."""
    counts = Counter(each.finding.found.severity for each in findings)
    counted = ", ".join(
        f"{counts[severity]} {severity.value}" for severity in sorted(counts, key=RANK.__getitem__)
    )
    return f"{counted} ({_name([each.finding.id for each in findings])})"


def _name(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _not_visible(scan: Scan) -> str:
    hidden = [each.rule for each in scan.judgement.hidden]
    return f"; not visible: {_name(hidden)}" if hidden else ""
