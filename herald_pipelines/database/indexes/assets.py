"""The tasks of index maintenance, their assets and their checks. Bodies are thin: read, judge, keep, act, describe.

Not here: Dagster (task_assets.py makes the assets), any rule (verdicts.py, plan.py).
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from herald_pipelines.database.indexes.analysis import IndexAnalysis, analyze_indexes, describe_indexes
from herald_pipelines.database.indexes.history import record_snapshot, write_analysis, write_new_baselines
from herald_pipelines.database.indexes.plan import RebuildPlan, RebuildStep
from herald_pipelines.database.indexes.rebuild import carry_out
from herald_pipelines.database.indexes.report import RebuildReport
from herald_pipelines.database.indexes.tables import (
    TABLE_ROWS,
    bloat_table,
    proposal_table,
    rebuild_table,
    size_table,
)
from herald_pipelines.database.indexes.verdicts import VerdictKind
from herald_pipelines.tasks import (
    AssetInfo,
    CheckInfo,
    CheckVerdict,
    Task,
    TaskContext,
    TaskResult,
)
from herald_pipelines.values import Capability, Outcome

GROUP = "indexes"
KEPT_PROMISE = 0.8
"""A rebuild that achieves less of its promise than this was promised on a wrong estimate."""
PROPOSED = (VerdictKind.UNUSED, VerdictKind.DUPLICATE, VerdictKind.REDUNDANT)


def analyze(context: TaskContext) -> IndexAnalysis:
    """Measure and judge the indexes of the context's database."""
    return analyze_indexes(
        context.targets.postgres(context.database, Capability.OBSERVE, context.task),
        context.targets.replicas(context.database, context.task),
        context.ops,
        context.identity,
        context.settings.indexes_of(context.database),
        budget_seconds=context.budget_seconds,
        now=context.now,
        say=context.say,
    )


def run_index_analysis(context: TaskContext) -> TaskResult:
    """Snapshot the counters, judge every index, and keep both."""
    analysis = analyze(context)
    if context.ops is not None and not context.dry_run:
        with context.ops.session() as ops:
            write_new_baselines(ops, context.identity, analysis.facts, analysis.bloat)
            record_snapshot(
                ops, context.identity, context.window, analysis.facts, context.now, analysis.servers
            )
            write_analysis(
                ops,
                context.identity,
                context.window,
                analysis.facts,
                analysis.bloat,
                analysis.usage,
                analysis.judged,
                analysis.planned,
            )
    rows = describe_indexes(analysis, context.now)
    summary = summarize(rows) | {"too_young": sum(each.is_too_young for each in analysis.judged)}
    proposals = [(row, verdict) for row in rows for verdict in row["verdicts"] if verdict["kind"] in PROPOSED]
    return TaskResult(
        metadata={
            "index_stats": {
                "indexes": summary["indexes"],
                "size_bytes": summary["size_bytes"],
                "largest": size_table(rows),
            },
            "index_analysis": {**summary, "most_wasteful": bloat_table(rows)},
            "unused_index_report": {
                "proposed_drops": len(proposals),
                "proposed_bytes": sum(
                    {(row["schema"], row["index"]): row["size_bytes"] for row, _ in proposals}.values()
                ),
                "proposals": proposal_table(proposals),
            },
        },
        checks=(*_analysis_checks(analysis, rows), _age_check(analysis, context)),
        summary=summary,
        document={"summary": summary, "indexes": rows},
    )


def run_index_rebuild(context: TaskContext) -> TaskResult:
    """Measure anew, plan, and rebuild what is bloated; in `observe` mode and dry runs the plan is all."""
    deadline = time.monotonic() + context.budget_seconds
    plan = analyze(context).plan
    report: RebuildReport | None = None
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
            assumed_free_disk_bytes=context.settings.indexes_of(context.database).assumed_free_disk_bytes,
        )
    elif context.ledger is not None:
        for step in plan.steps:
            context.ledger.record(
                context.identity,
                context.task,
                context.window,
                Outcome.PLANNED,
                object_name=step.name,
                object_oid=step.oid,
                evidence=_step_evidence(step),
                reason=f"mode is {context.mode.value}: nothing is changed",
            )
    rows = _rebuild_rows(plan, report)
    reclaimed = report.achieved_bytes if report else 0
    summary: dict[str, int | float | str] = {
        "planned": len(plan.steps),
        "rebuilt": len(report.done) if report else 0,
        "failed": len(report.failed) if report else 0,
        "skipped": len(plan.skipped) + (len(report.skipped) if report else 0),
        "promised_bytes": report.promised_bytes if report else plan.promised_bytes,
        "reclaimed_bytes": reclaimed,
        "rebuild_seconds": round(sum(each.seconds for each in report.done), 3) if report else 0.0,
    }
    return TaskResult(
        metadata={"index_rebuild": {**summary, "indexes": rebuild_table(rows)}},
        checks=() if report is None else (_promise_check(report),),
        summary=summary,
        document={"summary": summary, "plan": plan.as_dict(), "indexes": rows},
        problems=rebuild_problems(report) if report else (),
    )


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, int | float | str]:
    """Count what was found about the indexes of a database."""
    kinds = Counter(verdict["kind"] for row in rows for verdict in row["verdicts"])
    bloated = [row for row in rows if any(verdict["kind"] == "bloated" for verdict in row["verdicts"])]
    return {
        "indexes": len(rows),
        "size_bytes": sum(row["size_bytes"] for row in rows),
        "bloat_bytes": sum(row["bloat_bytes"] for row in bloated),
        **{kind.value: kinds[kind.value] for kind in VerdictKind},
        "rebuilds_planned": sum(row["rebuild_planned"] for row in rows),
    }


def _analysis_checks(analysis: IndexAnalysis, rows: Sequence[dict[str, Any]]) -> tuple[CheckVerdict, ...]:
    def named(kind: str) -> list[str]:
        return [
            f"{row['schema']}.{row['index']}"
            for row in rows
            if any(verdict["kind"] == kind for verdict in row["verdicts"])
        ]

    invalid, bloated = named("invalid"), named("bloated")
    worst = max((estimate.ratio for estimate in analysis.bloat.values() if estimate.confirmed), default=0.0)
    return (
        CheckVerdict(
            "no_invalid_indexes",
            passed=not invalid,
            is_error=True,
            summary=_list_or("no index is invalid", invalid),
            metadata={"invalid": len(invalid)},
        ),
        CheckVerdict(
            "bloat_below_threshold",
            passed=not bloated,
            is_error=False,
            summary=_list_or("no index is bloated", bloated),
            metadata={"bloated": len(bloated), "worst_confirmed_ratio": round(worst, 4)},
        ),
    )


def _age_check(analysis: IndexAnalysis, context: TaskContext) -> CheckVerdict:
    needed = context.settings.indexes_of(context.database).usage_window_days
    # Partitions come and go; those of an index are judged together.
    judged = [index for index in analysis.facts if not index.is_partitioned and index.parent_oid is None]
    young = [
        index
        for index in judged
        if index.oid not in analysis.usage or analysis.usage[index.oid].days < needed
    ]
    known = max((window.days for window in analysis.usage.values()), default=0.0)
    return CheckVerdict(
        "statistics_old_enough",
        passed=not young,
        is_error=False,
        summary=f"the use of {len(young)} of {len(judged)} indexes is known for less than {needed} days"
        if young
        else f"the use of every index is known for {needed} days",
        metadata={"too_young": len(young), "days_known": round(known, 2)},
    )


def _promise_check(report: RebuildReport) -> CheckVerdict:
    broken = [each.name for each in report.done if each.achieved_bytes < KEPT_PROMISE * each.promised_bytes]
    return CheckVerdict(
        "promised_gain_achieved",
        passed=not broken,
        is_error=False,
        summary=_list_or(f"{len(report.done)} rebuilds gave what was promised", broken),
        metadata={"promised_bytes": report.promised_bytes, "achieved_bytes": report.achieved_bytes},
    )


def _list_or(nothing: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:TABLE_ROWS])
    more = f" and {len(names) - TABLE_ROWS} more" if len(names) > TABLE_ROWS else ""
    return f"{shown}{more}" if names else nothing


def rebuild_problems(report: RebuildReport) -> tuple[str, ...]:
    """Return what fails the window: failed rebuilds, and leftovers of ours that are still there."""
    failed = [f"{each.name}: {each.reason}" for each in report.failed]
    kept = [
        f"{each.name}, left by an interrupted rebuild, could not be dropped: {each.reason}"
        for each in report.leftovers
        if not each.dropped
    ]
    return (*failed, *kept)


def _step_evidence(step: RebuildStep) -> dict[str, Any]:
    return {
        "size_bytes": step.size_bytes,
        "promised_bytes": step.promised_bytes,
        "bloat_ratio": step.ratio,
        "bloat_method": step.method,
        "statement": step.statement,
    }


def _rebuild_rows(plan: RebuildPlan, report: RebuildReport | None) -> list[dict[str, Any]]:
    """Return a row an index that was planned for or left out: what was promised, what was achieved, what became of it."""
    done = {each.oid: each for each in report.done} if report else {}
    unlucky = {each.oid: ("failed", each.reason) for each in report.failed} if report else {}
    unlucky |= {each.oid: ("skipped", each.reason) for each in report.skipped} if report else {}
    rows: list[dict[str, Any]] = []
    for step in plan.steps:
        result = done.get(step.oid)
        outcome, reason = ("done", None) if result else unlucky.get(step.oid, ("planned", None))
        rows.append(
            {
                "schema": step.schema,
                "table": step.table,
                "index": step.index,
                "size_bytes": step.size_bytes,
                "size_after_bytes": result.size_after_bytes if result else None,
                "promised_bytes": step.promised_bytes,
                "achieved_bytes": result.achieved_bytes if result else None,
                "seconds": round(result.seconds, 3) if result else None,
                "outcome": outcome,
                "reason": reason,
            }
        )
    rows += [
        {
            "schema": each.schema,
            "table": each.table,
            "index": each.index,
            "size_bytes": each.size_bytes,
            "size_after_bytes": None,
            "promised_bytes": each.promised_bytes,
            "achieved_bytes": None,
            "seconds": None,
            "outcome": "skipped",
            "reason": each.reason,
        }
        for each in plan.skipped
    ]
    return rows


INDEX_TASKS = (
    Task(
        name="index_analysis",
        description="Measures and judges every index: bloat, use, duplicates, validity.",
        group=GROUP,
        assets=(
            AssetInfo("index_stats", "Size and counters of every index; history in herald.index_snapshot."),
            AssetInfo(
                "index_analysis",
                "Bloat and verdicts with their reasons; history in herald.index_analysis.",
                ("index_stats",),
            ),
            AssetInfo(
                "unused_index_report",
                "Indexes to drop, with the DDL and its inverse. Proposals only: nothing drops an index by itself.",
                ("index_analysis",),
            ),
        ),
        checks=(
            CheckInfo(
                "no_invalid_indexes",
                "index_analysis",
                "No index is invalid: no query uses it, every write may pay for it.",
            ),
            CheckInfo(
                "bloat_below_threshold",
                "index_analysis",
                "No index wastes more of its size than the threshold allows.",
            ),
            CheckInfo(
                "statistics_old_enough",
                "index_stats",
                "The use of every index is known for the whole usage window.",
            ),
        ),
        body=run_index_analysis,
    ),
    Task(
        name="index_rebuild",
        description="Rebuilds bloated indexes with REINDEX CONCURRENTLY and proves the gain.",
        group=GROUP,
        assets=(
            AssetInfo(
                "index_rebuild",
                "Bloated indexes rebuilt, with promised and achieved gain; every action is in herald.maintenance_log.",
                ("index_analysis",),
            ),
        ),
        checks=(
            CheckInfo(
                "promised_gain_achieved",
                "index_rebuild",
                "Every rebuild reclaimed about what its estimate had promised.",
            ),
        ),
        body=run_index_rebuild,
        acts=True,
    ),
)
