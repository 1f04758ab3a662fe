"""The tasks of security, their assets and checks. Bodies are thin: read, judge, keep, describe.

Nothing is changed on a target: a finding's fix is for people. Not here: Dagster (task_assets.py), any rule.
"""

from herald_pipelines.database.security.checks import check_acceptances, check_new, check_open, check_overdue
from herald_pipelines.database.security.report import (
    describe,
    finding_table,
    hidden_table,
    resolved_table,
    rule_table,
    summarize,
)
from herald_pipelines.database.security.scan import Past, Scan, compare, keep, scan_database
from herald_pipelines.errors import HeraldError
from herald_pipelines.tasks import AssetInfo, CheckInfo, Task, TaskContext, TaskResult
from herald_pipelines.values import Capability

GROUP = "security"


def run_security_scans(context: TaskContext) -> TaskResult:
    """Find what is weak, and keep what is new and resolved."""
    scan, past = _scan(context)
    summary = summarize(scan, past)
    return TaskResult(
        metadata={
            "security_scan": {
                **summary,
                "findings": finding_table(scan, past),
                "resolved_findings": resolved_table(past.resolved if past else ()),
                "rules_not_visible": hidden_table(scan),
            }
        },
        checks=() if past is None or context.dry_run else (check_new(scan, past), check_open(scan, past)),
        summary=summary,
        document=describe(scan, past),
    )


def run_comprehensive_security_audit(context: TaskContext) -> TaskResult:
    """Find anew what is weak, and judge how what was found since the last audit was dealt with."""
    scan, past = _scan(context)
    summary = summarize(scan, past)
    document = describe(scan, past)
    if past is not None:
        summary |= {
            "opened_since_last_audit": len(past.new),
            "resolved_since_last_audit": len(past.resolved),
        }
        document |= {
            "summary": summary,
            "last_audit_at": past.history.last_scan_at and past.history.last_scan_at.isoformat(),
        }
    return TaskResult(
        metadata={
            "security_audit": {
                **summary,
                "findings": finding_table(scan, past),
                "resolved_findings": resolved_table(past.resolved if past else ()),
                "rules_not_visible": hidden_table(scan),
                "rules_judged": rule_table(scan),
            }
        },
        checks=()
        if past is None or context.dry_run
        else (check_overdue(scan, past, context.now), check_acceptances(scan, context.now)),
        summary=summary,
        document=document,
    )


def _scan(context: TaskContext) -> tuple[Scan, Past | None]:
    observe = context.targets.postgres(context.database, Capability.OBSERVE, context.task)
    scan = scan_database(observe, context.settings, context.targets.environ, now=context.now, say=context.say)
    if context.ops is None:
        return scan, None
    if not context.dry_run:
        past = keep(
            context.ops.writable(),
            context.identity,
            scan,
            task=context.task,
            window=context.window,
            run_id=context.run_id,
        )
        return scan, past
    past = compare(context.ops, context.identity, scan, task=context.task, window=context.window)
    if isinstance(past, HeraldError):
        context.say(f"what is new is not known: {past.message}")
        return scan, None
    return scan, past


SECURITY_TASKS = (
    Task(
        name="security_scans",
        description="Finds what is weak about roles, grants, functions, settings, pg_hba.conf, versions, keys and packages.",
        group=GROUP,
        assets=(
            AssetInfo(
                "security_scan",
                "Findings with evidence and fix, what is new, resolved, accepted and not visible; history in"
                " herald.security_finding.",
            ),
        ),
        checks=(
            CheckInfo(
                "no_new_findings",
                "security_scan",
                "No window before missed a weakness that is there now: an error where one is critical or high.",
            ),
            CheckInfo("no_open_findings", "security_scan", "Every weakness is mended or accepted."),
        ),
        body=run_security_scans,
    ),
    Task(
        name="comprehensive_security_audit",
        description="Judges every rule anew, and how the findings since the last audit were dealt with.",
        group=GROUP,
        assets=(
            AssetInfo(
                "security_audit",
                "The verdict of every rule; what was opened and resolved since the last audit; acceptances that end.",
                ("security_scan",),
            ),
        ),
        checks=(
            CheckInfo(
                "no_overdue_findings",
                "security_audit",
                "No finding is open for more than a month: an error where one is critical or high.",
            ),
            CheckInfo(
                "accepted_risks_hold",
                "security_audit",
                "What the settings accept is there, and does not end before the next audit.",
            ),
        ),
        body=run_comprehensive_security_audit,
    ),
)
