"""Pure: verdicts on the tables as a whole, for asset checks. Not here: what one table needs (need.py)."""

from collections.abc import Sequence

from herald_pipelines.database.tables.facts import DatabaseFacts
from herald_pipelines.database.tables.need import ANALYZE_KINDS, Scope, find_needs
from herald_pipelines.database.tables.plan import VacuumPlan
from herald_pipelines.database.tables.report import VacuumReport
from herald_pipelines.tasks import CheckVerdict

ALARMING_SHARE = 1.5
"""Share of autovacuum_freeze_max_age: where freezing works at all, no table gets so old (check_postgres and others warn
there), and it is long before vacuum_failsafe_age."""
NAMES_SHOWN = 10


def check_wraparound(facts: DatabaseFacts) -> CheckVerdict:
    """Judge that the database is far from transaction id and multixact wraparound."""
    rules = facts.rules
    share = max(
        rules.database_xid_age / rules.freeze_max_age,
        rules.database_multixact_age / rules.multixact_freeze_max_age,
    )
    return CheckVerdict(
        "wraparound_is_far",
        passed=share < ALARMING_SHARE,
        is_error=True,
        summary=f"the oldest row is {rules.database_xid_age} transactions and {rules.database_multixact_age} multixacts"
        f" old, {share:.0%} of the age at which autovacuum is forced to freeze it",
        metadata={
            "xid_age": rules.database_xid_age,
            "multixact_age": rules.database_multixact_age,
            "share_of_freeze_max_age": round(share, 4),
        },
    )


def check_statistics(facts: DatabaseFacts) -> CheckVerdict:
    """Judge that the planner has statistics of every table, and that they are not outdated by autovacuum's rule."""
    outdated = [
        table.name
        for table in facts.tables
        if any(need.kind in ANALYZE_KINDS for need in find_needs(table, facts.rules, Scope.ROUTINE))
    ]
    return CheckVerdict(
        "statistics_are_current",
        passed=not outdated,
        is_error=False,
        summary=_list_or("the statistics of every table are current", outdated),
        metadata={"outdated": len(outdated)},
    )


def check_horizon(plan: VacuumPlan, report: VacuumReport | None) -> CheckVerdict:
    """Judge that nobody's old snapshot keeps dead rows from being removed, or tables from being frozen."""
    held = [f"{each.name}: {each.reason}" for each in plan.skipped if each.is_held]
    held += [f"{each.name}: {each.reason}" for each in report.held] if report else []
    oldest = plan.holders[0] if plan.holders else None
    return CheckVerdict(
        "nobody_holds_the_horizon",
        passed=not held,
        is_error=False,
        summary=_list_or("no table is held by an old snapshot", held),
        metadata={"held": len(held), "oldest_holder_xid_age": oldest.xid_age if oldest else 0},
    )


def check_work(report: VacuumReport) -> CheckVerdict:
    """Judge that what was begun was proven by the server's own counters."""
    failed = [f"{each.name}: {each.reason}" for each in report.failed]
    return CheckVerdict(
        "effect_is_proven",
        passed=not failed,
        is_error=True,
        summary=_list_or("every table's effect is proven", failed),
        metadata={"failed": len(failed), "removed_rows": report.removed_rows},
    )


def _list_or(nothing: str, texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMES_SHOWN} more" if len(texts) > NAMES_SHOWN else ""
    return f"{'; '.join(texts[:NAMES_SHOWN])}{more}" if texts else nothing
