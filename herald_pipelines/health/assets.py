"""The tasks of health: everything is asked at once, as a run; hours and days are counted and put into the store.

Not here: Dagster (task_assets.py, health_sensor.py, health_frames.py).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from herald_pipelines.backup.assets import has_store
from herald_pipelines.backup.repository import repository
from herald_pipelines.errors import UsageError
from herald_pipelines.health.checks import build_checks
from herald_pipelines.health.history import RIPE_AFTER, previous_of, read_standings, record, roll_up
from herald_pipelines.health.report import count, day_table, describe, executed_rows, judge, table
from herald_pipelines.health.results import Executed
from herald_pipelines.health.runner import Runner
from herald_pipelines.resources.postgres import Row
from herald_pipelines.settings import OPS, Settings
from herald_pipelines.tasks import AssetInfo, CheckInfo, Task, TaskContext, TaskResult

GROUP = "health"
ONE_DAY = timedelta(days=1)


def run_health_checks(context: TaskContext) -> TaskResult:
    """Ask everything about a database; with `ops`, about the platform, its host and Dagster too."""
    checks = build_checks(context.targets, (context.database,))
    known = {}
    if context.ops is not None and context.ledger is not None:
        with context.ops.session() as session:
            known = read_standings(session)
    executed = Runner().run(checks, previous_of(known), context.now)
    if context.ops is not None and not context.dry_run:
        record(context.ops.writable(), executed, run_id=context.run_id)
        context.say(f"{len(executed)} checks asked")
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


def run_health_history(context: TaskContext) -> TaskResult:
    """Count the hours and days that are over, and put those of the day before each window into the store as Parquet.

    A day that was counted stays, so an old window gets what was measured then; one that nobody watched has no row.
    """
    if context.ops is None:
        raise UsageError("there is no ops database to count the hours and days of")
    days = [day_of(window) for window in context.covered]
    counted = 0
    if not context.dry_run:
        counted = roll_up(context.ops.writable(), max(context.now, days[-1] + ONE_DAY + RIPE_AFTER))
    with context.ops.session() as session:
        rows = {
            day: session.fetch("health/list_rollups", starts_at=day, ends_at=day + ONE_DAY) for day in days
        }
        subjects = session.fetch("health/summarize_day", starts_at=days[-1])
    watched = {day: found for day, found in rows.items() if found}
    exported: list[str] = []
    if has_store(context.settings, OPS):
        exported = _export(context, watched)
    else:
        context.say("there is no store: the hours and days are in the ops database alone")
    summary = {
        "counted": counted,
        "days": len(watched),
        "rows": sum(len(each) for each in watched.values()),
        "exported": len(exported),
    }
    return TaskResult(
        metadata={
            "health_history": {**summary, **_by_subject(subjects), "day": day_table(rows[days[-1]], days[-1])}
        },
        checks=(),
        summary=summary,
        document={"summary": summary, "objects": exported, "subjects": [dict(row) for row in subjects]},
    )


def _export(context: TaskContext, rows: Mapping[datetime, Sequence[Row]]) -> list[str]:
    """Write each day whole into the store, over what is there; return the keys. A dry run writes none of them."""
    # pandas takes half a second to load, and most processes of ours never need it.
    from herald_pipelines.health.frames import make_frame, write_parquet  # noqa: PLC0415

    with repository(context.settings, context.targets.environ) as place:
        place.store.check()
        keys = [object_key(place.platform, day) for day in rows]
        if not context.dry_run:
            for key, found in zip(keys, rows.values(), strict=True):
                place.store.put(key, write_parquet(make_frame(found)))
    return keys


def object_key(platform: str, day: datetime) -> str:
    """Return where the hours of a day are in the store."""
    return f"{platform}/health_history/{day:%Y-%m-%d}.parquet"


def _by_subject(subjects: Sequence[Row]) -> dict[str, float]:
    """Return what plots over time: the numbers of the newest day by name and subject."""
    return {
        f"{name}_{row['subject']}": float(value)
        for row in subjects
        for name, value in row.items()
        if name != "subject" and value is not None
    }


def day_of(window: str) -> datetime:
    """Return the day (UTC) whose hours belong to a window: the one before it.

    >>> day_of("2026-12-01").isoformat()
    '2026-11-30T00:00:00+00:00'
    """
    return datetime.fromisoformat(window).replace(tzinfo=UTC, hour=0, minute=0) - ONE_DAY


def _is_ops(_settings: Settings, database: str) -> bool:
    return database == OPS


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
    Task(
        name="health_history",
        description="Counts the hours and days of all health checks, and puts the day before into the store as Parquet.",
        group=GROUP,
        assets=(
            AssetInfo(
                "health_history",
                "Hours and days with uptime, percentiles and mean time to recover: a pandas DataFrame, Parquet in the store.",
                ("health_checks",),
                io_manager="health_frames",
            ),
        ),
        checks=(),
        body=run_health_history,
        concerns=_is_ops,
        concern="it is done once, with ops",
    ),
)
