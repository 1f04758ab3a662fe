"""The task of health: everything is asked at once, as a run. Not here: Dagster (task_assets.py, health_sensor.py)."""

from herald_pipelines.health.checks import build_checks
from herald_pipelines.health.history import previous_of, read_standings, record, roll_up
from herald_pipelines.health.results import Executed
from herald_pipelines.health.runner import Runner
from herald_pipelines.health.watch import count, describe, executed_rows, judge, table
from herald_pipelines.tasks import AssetInfo, CheckInfo, Task, TaskContext, TaskResult

GROUP = "health"


def run_health_checks(context: TaskContext) -> TaskResult:
    """Ask everything about a database; with `ops`, about the platform, its host and Dagster too."""
    checks = build_checks(context.targets, (context.database,))
    known = {}
    if context.ops is not None and context.ledger is not None:
        with context.ops.session() as session:
            known = read_standings(session)
    executed = Runner().run(checks, previous_of(known), context.now)
    if context.ops is not None and not context.dry_run:
        keep_months = context.settings.health.keep_months
        record(context.ops.writable(), executed, run_id=context.run_id, keep_months=keep_months)
        rolled_up = roll_up(context.ops.writable(), context.now)
        context.say(f"{len(executed)} checks asked, {rolled_up} hours and days counted")
    rows = executed_rows(executed)
    summary = {"checks": len(executed), **count(each.result.status for each in executed)}
    return TaskResult(
        metadata={
            "health_checks": {**summary, **_numbers(executed), "checks_by_status": table(rows)},
        },
        checks=judge(rows),
        summary=summary,
        document={"summary": summary, "checks": describe(executed, known)},
    )


def _numbers(executed: list[Executed]) -> dict[str, float]:
    """Return the metrics that plot over time, by check and name."""
    return {
        f"{each.check.name}_{name}": value
        for each in executed
        for name, value in each.result.metrics.items()
        if name.endswith(("_ms", "_ratio"))
    }


HEALTH_TASKS = (
    Task(
        name="health_checks",
        description="Asks how everything is: the database; with ops the host, Dagster, endpoints and the Riot API.",
        group=GROUP,
        assets=(
            AssetInfo(
                "health_checks",
                "Every check with its verdict and numbers; all results are in herald.health_snapshot.",
            ),
        ),
        checks=(
            CheckInfo("critical_checks_healthy", "health_checks", "Nothing critical is unhealthy."),
            CheckInfo("no_unhealthy_checks", "health_checks", "Nothing is degraded or unhealthy."),
        ),
        body=run_health_checks,
    ),
)
