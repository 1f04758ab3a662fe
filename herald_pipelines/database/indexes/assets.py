"""The tasks of index maintenance, their assets and their checks. Bodies are thin: read, judge, keep, act, describe.

Not here: Dagster (task_assets.py makes the assets), any rule (verdicts.py, plan.py, checks.py).
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from herald_pipelines.database.indexes.analysis import IndexAnalysis, analyze_indexes, describe_indexes
from herald_pipelines.database.indexes.checks import (
    check_age,
    check_bloat,
    check_leftovers,
    check_promise,
    check_validity,
)
from herald_pipelines.database.indexes.history import record_snapshot, write_analysis, write_new_baselines
from herald_pipelines.database.indexes.obstacles import find_forbidden
from herald_pipelines.database.indexes.rebuild import carry_out
from herald_pipelines.database.indexes.report import RebuildReport, describe_rebuilds
from herald_pipelines.database.indexes.tables import (
    bloat_table,
    proposal_table,
    rebuild_table,
    size_table,
)
from herald_pipelines.database.indexes.verdicts import VerdictKind
from herald_pipelines.tasks import (
    AssetInfo,
    CheckInfo,
    Task,
    TaskContext,
    TaskResult,
)
from herald_pipelines.values import Capability, Mode, Outcome

GROUP = "indexes"
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
        checks=(
            check_validity(rows),
            check_bloat(rows, analysis.bloat),
            check_age(
                analysis.facts,
                analysis.usage,
                context.settings.indexes_of(context.database).usage_window_days,
            ),
        ),
        summary=summary,
        document={"summary": summary, "indexes": rows},
    )


def run_index_rebuild(context: TaskContext) -> TaskResult:
    """Measure anew, plan, and rebuild what is bloated; in `observe` mode and dry runs the plan is all."""
    deadline = time.monotonic() + context.budget_seconds
    plan = analyze(context).plan
    report: RebuildReport | None = None
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
            assumed_free_disk_bytes=context.settings.indexes_of(context.database).assumed_free_disk_bytes,
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
    rows = describe_rebuilds(plan, report, forbidden)
    reclaimed = report.achieved_bytes if report else 0
    summary: dict[str, int | float | str] = {
        "planned": len(plan.steps),
        "rebuilt": len(report.done) if report else 0,
        "failed": len(report.failed) if report else 0,
        "skipped": len(plan.skipped) + (len(report.skipped) if report else 0),
        "promised_bytes": plan.promised_bytes,
        "reclaimed_bytes": reclaimed,
        "rebuild_seconds": round(sum(each.seconds for each in report.done), 3) if report else 0.0,
    }
    return TaskResult(
        metadata={"index_rebuild": {**summary, "indexes": rebuild_table(rows)}},
        checks=() if report is None else (check_promise(report), check_leftovers(report)),
        summary=summary,
        document={"summary": summary, "plan": plan.as_dict(), "indexes": rows},
        problems=tuple(f"{each.name}: {each.reason}" for each in report.failed) if report else (),
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
            CheckInfo(
                "no_leftovers",
                "index_rebuild",
                "What interrupted rebuilds left has been dropped.",
            ),
        ),
        body=run_index_rebuild,
        acts=True,
    ),
)
