"""The tasks of tables, their assets and their checks. Bodies are thin: read, plan, act, describe.

Not here: Dagster (task_assets.py makes the assets), any rule (need.py, plan.py, checks.py).
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from herald_pipelines.database.tables.analysis import TableAnalysis, analyze_tables, describe_tables
from herald_pipelines.database.tables.checks import (
    check_horizon,
    check_statistics,
    check_work,
    check_wraparound,
)
from herald_pipelines.database.tables.display import stats_table, work_table
from herald_pipelines.database.tables.need import Scope
from herald_pipelines.database.tables.optimize import carry_out
from herald_pipelines.database.tables.report import VacuumReport, describe_holders, describe_work
from herald_pipelines.database.tables.store import find_forbidden, read_done
from herald_pipelines.errors import HeraldError
from herald_pipelines.tasks import (
    AssetInfo,
    CheckInfo,
    CheckVerdict,
    Task,
    TaskContext,
    TaskResult,
)
from herald_pipelines.values import Capability, Mode, Outcome

GROUP = "tables"


@dataclass(frozen=True)
class TableWork:
    """What a task found and did about the tables of a database."""

    analysis: TableAnalysis
    report: VacuumReport | None
    """None: the plan is all."""
    rows: list[dict[str, Any]]
    """Of `describe_work`."""
    summary: Mapping[str, int | float | str]
    checks: tuple[CheckVerdict, ...]
    problems: tuple[str, ...]


def maintain_tables(context: TaskContext, scope: Scope, *, budget_seconds: float | None = None) -> TableWork:
    """Read and plan; carry the plan out, or record it in `observe` mode; a dry run only tells it.

    Args:
        context: of the task.
        scope: how much counts as a need.
        budget_seconds: the task's, when not given.

    Raises:
        HeraldError: the database or the ledger could not be read or written.
    """
    budget_seconds = context.budget_seconds if budget_seconds is None else budget_seconds
    deadline = time.monotonic() + budget_seconds
    analysis = analyze_tables(
        context.targets.postgres(context.database, Capability.OBSERVE, context.task),
        scope,
        budget_seconds=budget_seconds,
        say=context.say,
        done=_done(context),
    )
    plan = analysis.plan
    report: VacuumReport | None = None
    forbidden: Mapping[int, str] | None = None
    if context.may_act and context.ledger is not None:
        report = carry_out(
            plan,
            target=context.targets.postgres(context.database, Capability.MAINTAIN, context.task),
            identity=context.identity,
            ledger=context.ledger,
            task=context.task,
            window=context.window,
            budget_seconds=max(deadline - time.monotonic(), 0.0),
            say=context.say,
        )
    elif context.mode is Mode.APPLY:
        # What only the role that acts can tell is a part of the plan.
        maintain = context.targets.postgres(context.database, Capability.MAINTAIN, context.task)
        with replace(maintain, read_only=True).session() as session:
            forbidden = find_forbidden(session, [step.oid for step in plan.steps])
    elif context.ledger is not None:
        for step in plan.steps:
            context.ledger.record(
                context.identity,
                context.task,
                context.window,
                Outcome.PLANNED,
                object_name=step.name,
                object_oid=step.oid,
                evidence=step.evidence(),
                reason=f"mode is {context.mode.value}: nothing is changed",
            )
    done = report.of(Outcome.DONE) if report else ()
    vacuums = {step.oid for step in plan.steps if step.vacuum}
    analyzes = {step.oid for step in plan.steps if step.analyze}
    held = sum(each.is_held for each in plan.skipped) + (len(report.held) if report else 0)
    skipped = sum(not each.is_held for each in plan.skipped)
    return TableWork(
        analysis=analysis,
        report=report,
        rows=describe_work(plan, report, forbidden),
        summary={
            "planned": len(plan.steps),
            "vacuumed": sum(each.oid in vacuums for each in done),
            "analyzed": sum(each.oid in analyzes for each in done),
            "held": held,
            "failed": len(report.failed) if report else 0,
            "skipped": skipped + (len(report.of(Outcome.SKIPPED)) if report else 0),
            "dead_rows": sum(step.dead_rows for step in plan.steps),
            "removed_rows": report.removed_rows if report else 0,
            "work_seconds": round(report.seconds, 3) if report else 0.0,
        },
        checks=(check_horizon(plan, report), *(() if report is None else (check_work(report),))),
        problems=tuple(f"{each.name}: {each.reason}" for each in report.failed) if report else (),
    )


def run_database_optimization(context: TaskContext) -> TaskResult:
    """Measure, plan by autovacuum's own rules, and vacuum and analyze what autovacuum has not."""
    work = maintain_tables(context, Scope.ROUTINE)
    facts, plan = work.analysis.facts, work.analysis.plan
    stats = describe_tables(work.analysis)
    kinds = Counter(need["kind"] for row in stats for need in row["needs"])
    return TaskResult(
        metadata={
            "table_stats": {
                "tables": len(stats),
                "size_bytes": sum(row["size_bytes"] for row in stats),
                "dead_rows": sum(row["dead_rows"] for row in stats),
                "xid_age": facts.rules.database_xid_age,
                "multixact_age": facts.rules.database_multixact_age,
                "largest": stats_table(stats),
            },
            "vacuum_plan": {
                "planned": len(plan.steps),
                "skipped": len(plan.skipped),
                "estimated_seconds": round(plan.estimated_seconds, 3),
                **{f"needs_{kind.replace(' ', '_')}": count for kind, count in kinds.items()},
                "oldest_holder_xid_age": plan.holders[0].xid_age if plan.holders else 0,
            },
            "database_optimization": {**work.summary, "tables": work_table(work.rows)},
        },
        checks=(check_wraparound(facts), check_statistics(facts), *work.checks),
        summary=work.summary,
        document=describe_maintenance(work),
        problems=work.problems,
    )


def run_statistics_update(context: TaskContext) -> TaskResult:
    """Analyze every table that changed at all, and the partitioned tables that autovacuum never analyzes."""
    work = maintain_tables(context, Scope.STATISTICS)
    return TaskResult(
        metadata={"statistics_update": {**work.summary, "tables": work_table(work.rows)}},
        checks=tuple(each for each in work.checks if each.check == "effect_is_proven"),
        summary=work.summary,
        document=describe_maintenance(work),
        problems=work.problems,
    )


def describe_maintenance(work: TableWork) -> dict[str, Any]:
    """Return what was found and done for machines."""
    plan = work.analysis.plan
    return {
        "summary": work.summary,
        "estimated_seconds": round(plan.estimated_seconds, 3),
        "holders": describe_holders(plan.holders),
        "tables": work.rows,
        "notes": list(plan.notes),
    }


def _done(context: TaskContext) -> frozenset[int]:
    """Return what this window has done already; a dry run goes without where the ops database is not there."""
    if context.ops is None:
        return frozenset()
    try:
        return read_done(context.ops, context.identity, context.task, context.window)
    except HeraldError as error:
        if not context.dry_run:
            raise
        context.say(f"what this window has done already is not known: {error.message}")
        return frozenset()


PROVEN = "What was vacuumed and analyzed is proven by the server's counters; what failed is named."
FREE = "Nobody's old snapshot, slot or prepared transaction keeps dead rows from being removed."

TABLE_TASKS = (
    Task(
        name="database_optimization",
        description="Vacuums and analyzes the tables that need it, worst first, and proves the effect.",
        group=GROUP,
        assets=(
            AssetInfo("table_stats", "Size, dead rows, age and statistics of every table."),
            AssetInfo(
                "vacuum_plan",
                "What each table needs by PostgreSQL's own rules, in the order of the work.",
                ("table_stats",),
            ),
            AssetInfo(
                "database_optimization",
                "Tables vacuumed and analyzed, with dead rows before and after; history in herald.vacuum_effects.",
                ("vacuum_plan",),
            ),
        ),
        checks=(
            CheckInfo(
                "wraparound_is_far", "table_stats", "The database is far from transaction id wraparound."
            ),
            CheckInfo(
                "statistics_are_current", "table_stats", "The planner has current statistics of all tables."
            ),
            CheckInfo("nobody_holds_the_horizon", "vacuum_plan", FREE),
            CheckInfo("effect_is_proven", "database_optimization", PROVEN),
        ),
        body=run_database_optimization,
        acts=True,
    ),
    Task(
        name="statistics_update",
        description="Analyzes every table that changed, extended statistics and partitioned tables included.",
        group=GROUP,
        assets=(
            AssetInfo(
                "statistics_update",
                "Tables analyzed; history in herald.vacuum_effects.",
                ("table_stats",),
            ),
        ),
        checks=(CheckInfo("effect_is_proven", "statistics_update", PROVEN),),
        body=run_statistics_update,
        acts=True,
    ),
)
