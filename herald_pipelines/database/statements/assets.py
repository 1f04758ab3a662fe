"""The tasks of performance, their assets and their checks. Bodies are thin: read, judge, keep, describe.

Not here: Dagster (task_assets.py makes the assets), any rule (deltas.py, findings.py, checks.py).
"""

from herald_pipelines.database.statements.analysis import analyze_statements
from herald_pipelines.database.statements.baselines import read_baseline, sum_up, write_baseline
from herald_pipelines.database.statements.checks import (
    check_baseline,
    check_regressions,
    check_slow,
    check_tracking,
)
from herald_pipelines.database.statements.findings import is_slower
from herald_pipelines.database.statements.history import write_findings
from herald_pipelines.database.statements.report import (
    describe_analysis,
    describe_baseline,
    finding_rows,
    summarize_analysis,
)
from herald_pipelines.database.statements.tables import chart, finding_table, query_table
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.tasks import AssetInfo, CheckInfo, Task, TaskContext, TaskResult
from herald_pipelines.values import Capability

GROUP = "performance"


def run_performance_analysis(context: TaskContext) -> TaskResult:
    """Read the statements, keep what was counted since the last reading, and judge the window."""
    settings = context.settings.performance_of(context.database)
    analysis = analyze_statements(
        context.targets.postgres(context.database, Capability.OBSERVE, context.task),
        context.ops,
        context.identity,
        settings,
        window=context.window,
        record=not context.dry_run,
        is_ours=context.settings.database(context.database).url is None,
        budget_seconds=context.budget_seconds,
        now=context.now,
        say=context.say,
    )
    if context.ops is not None and not context.dry_run and analysis.hindrance is None:
        with context.ops.session() as ops:
            write_findings(
                ops,
                context.identity,
                context.window,
                finding_rows(analysis),
                now=context.now,
                keep_days=settings.keep_days,
            )
    document = describe_analysis(analysis)
    summary = summarize_analysis(analysis)
    hindrance = {} if analysis.hindrance is None else {"hindrance": analysis.hindrance}
    return TaskResult(
        metadata={
            "statement_snapshot": {
                "statements": summary["statements"],
                "calls": summary["calls"],
                "exec_seconds": summary["exec_seconds"],
                "evictions": summary["evictions"],
                **hindrance,
                **chart(document["queries"]),
                "most_time": query_table(document["queries"]),
            },
            "performance_analysis": {
                **summary,
                **hindrance,
                **chart(document["queries"]),
                "findings": finding_table(document["findings"]),
                "most_time": query_table(document["queries"]),
            },
        },
        checks=(
            check_tracking(analysis),
            check_regressions(analysis),
            check_slow(analysis, settings.slow_seconds),
        ),
        summary=summary,
        document={"summary": summary, **document},
    )


def run_performance_baseline_update(context: TaskContext) -> TaskResult:
    """Make what queries did in the last weeks the measure of the next ones."""
    settings = context.settings.performance_of(context.database)
    if context.ops is None:
        raise PermanentFailure("a baseline is made of what the ops database holds")
    with context.ops.session() as ops:
        before = read_baseline(ops, context.identity, without_window=context.window)
        made = sum_up(ops, context.identity, settings, context.now, window=context.window)
        if made is not None and not context.dry_run:
            write_baseline(ops, context.identity, made, context.now, keep_days=settings.keep_days)
    slower = [
        key
        for key, usual in (made.queries.items() if made and before else ())
        if before and key in before.queries and is_slower(usual.counters, before.queries[key], settings)
    ]
    summary: dict[str, int | float | str] = {
        "queries": len(made.queries) if made else 0,
        "windows": made.windows if made else 0,
        "exec_seconds": round(made.exec_seconds, 3) if made else 0.0,
        "slower": len(slower),
    }
    return TaskResult(
        metadata={"performance_baseline": summary},
        checks=(check_baseline(slower, has_readings=made is not None),),
        summary=summary,
        document={
            "summary": summary,
            "baseline": describe_baseline(made),
            "slower": [str(key.query_id) for key in slower],
        },
    )


STATEMENT_TASKS = (
    Task(
        name="performance_analysis",
        description="Reads pg_stat_statements and tells which queries became slower, are slow, came or went.",
        group=GROUP,
        assets=(
            AssetInfo(
                "statement_snapshot",
                "What each statement of each role did since the last reading; history in herald.query_history.",
            ),
            AssetInfo(
                "performance_analysis",
                "Regressions against the baseline, slow, new and vanished queries with their plans:"
                " herald.query_findings.",
                ("statement_snapshot", "performance_baseline"),
            ),
        ),
        checks=(
            CheckInfo(
                "statements_are_tracked",
                "statement_snapshot",
                "Statements are counted, and none were evicted for want of room.",
            ),
            CheckInfo(
                "no_query_regressions",
                "performance_analysis",
                "No query takes longer than in the baseline.",
            ),
            CheckInfo(
                "no_slow_queries",
                "performance_analysis",
                "No query takes longer than a call may.",
            ),
        ),
        body=run_performance_analysis,
    ),
    Task(
        name="performance_baseline_update",
        description="Makes what queries did in the last weeks the measure of the next ones.",
        group=GROUP,
        assets=(
            AssetInfo(
                "performance_baseline",
                "What each query usually does: calls, mean, mean of its slowest window.",
                ("statement_snapshot",),
            ),
        ),
        checks=(
            CheckInfo(
                "baseline_is_sound",
                "performance_baseline",
                "What became slower is not taken for usual unnoticed.",
            ),
        ),
        body=run_performance_baseline_update,
    ),
)
