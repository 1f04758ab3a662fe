"""The calendar in Dagster: partitions, partition mappings, jobs, schedules and the catch-up sensor.

Not here: which windows were missed (catchup), what a task does (task_assets).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    RUN_KEY_TAG,
)

from herald_pipelines.calendar import Calendar
from herald_pipelines.catchup import CatchUpPlan, CatchUpRequest, plan_catch_up
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.runs import (
    ATTEMPT_TAG,
    DATABASE_TAG,
    LANE_TAG,
    LATE_TAG,
    SLOT_TAG,
    WINDOW_TAG,
    reap_dead_runs,
)
from herald_pipelines.settings import Settings
from herald_pipelines.slots import Cadence, Slot, window_key
from herald_pipelines.values import utc_now
from herald_pipelines.window_history import AssetKeys, enabled_tasks, read_histories

DATABASE, WINDOW = "database", "window"
"""Dimensions of the partitions; Dagster sorts them by name, so a key is `database|window`."""
SENSOR_INTERVAL_SECONDS = 30
EVENTS_PER_TICK = 100
MINUTES_A_DAY = 24 * 60
_FINENESS = (Cadence.MINUTES, Cadence.DAILY, Cadence.WEEKLY, Cadence.MONTHLY)

Job = Any
"""What define_asset_job returns: Dagster keeps its type to itself."""


def partitions_of(slot: Slot, databases: Sequence[str]) -> dg.MultiPartitionsDefinition:
    """Return the partitions of a slot: every database by every window, the one that is open now included."""
    return dg.MultiPartitionsDefinition(
        {
            DATABASE: dg.StaticPartitionsDefinition(list(databases)),
            WINDOW: dg.TimeWindowPartitionsDefinition(
                cron_schedule=slot.partition_cron,
                start=datetime(slot.start.year, slot.start.month, slot.start.day),  # noqa: DTZ001 - timezone says it
                fmt=slot.key_format,
                timezone="UTC",
                end_offset=1,
            ),
        }
    )


def mapping_between(upstream: Slot, downstream: Slot) -> dg.MultiPartitionMapping:
    """Return how the windows of one slot depend on those of another; a database depends on itself alone.

    A coarser slot reads the windows of the days before the one on which it opens, back to its own previous
    window: a Sunday reads the seven days from the Sunday before. Otherwise a window reads the one of the same
    day, or of the day before where the upstream slot opens later in the day.
    """
    windows = dg.TimeWindowPartitionMapping(
        start_offset=_window_offset(upstream, downstream), end_offset=_window_offset(upstream, downstream)
    )
    return dg.MultiPartitionMapping(
        {
            DATABASE: dg.DimensionPartitionMapping(DATABASE, dg.IdentityPartitionMapping()),
            WINDOW: dg.DimensionPartitionMapping(WINDOW, windows),
        }
    )


def build_slot_job(slot: Slot, asset_keys: Sequence[dg.AssetKey]) -> Job:
    """Return the job of a slot: all assets of its tasks, in one process, since its steps are few and wait."""
    return dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType] - in the metadata we do not give
        slot.name,
        selection=dg.AssetSelection.assets(*asset_keys),
        executor_def=dg.in_process_executor,
        tags={SLOT_TAG: slot.name},
        description=f"{', '.join(slot.tasks)}: {slot.rhythm}.",
    )


def build_schedule(
    slot: Slot,
    job: Job,
    settings: Settings,
    asset_keys: AssetKeys,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> dg.ScheduleDefinition:
    """Return the schedule of a slot: when a window opens, one run for every database that has a task of it.

    A tick that comes later than half the grace starts nothing, so that the catch-up sensor, which waits for
    the whole of it, never requests what this is starting.
    """
    grace = timedelta(seconds=settings.catch_up.grace_seconds)

    @dg.schedule(  # pyright: ignore[reportUnknownMemberType] - as above
        name=slot.schedule_name,
        job=job,
        cron_schedule=slot.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if slot.enabled else dg.DefaultScheduleStatus.STOPPED,
        description=f"Opens the windows of {slot.name}: {slot.rhythm}.",
    )
    def open_window(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        opening = context.scheduled_execution_time
        if clock() - opening > grace / 2:
            return dg.SkipReason(
                f"too late for the window of {opening:%Y-%m-%d %H:%M}: left to the catch-up sensor"
            )
        if opening.date() < slot.start:
            return dg.SkipReason(f"the calendar starts on {slot.start}")
        window = window_key(slot, opening)
        return [
            _run_request(slot, database, (window,), tasks, asset_keys, attempt=1, late=False)
            for database in settings.names()
            if (tasks := enabled_tasks(settings, slot, database))
        ] or dg.SkipReason("no database has an enabled task of this slot")

    return open_window


def build_catch_up_sensor(
    jobs: Sequence[Job],
    calendar: Calendar,
    settings: Settings,
    asset_keys: AssetKeys,
    open_ledger: Callable[[], Ledger | None],
    open_storage: Callable[[], Postgres],
    *,
    clock: Callable[[], datetime] = utc_now,
) -> dg.SensorDefinition:
    """Return the sensor that requests the windows that were missed, and shows those that only the ledger knows.

    Its tick fails when the ledger cannot be read: what is not known to be missed is not requested.
    """

    @dg.sensor(  # pyright: ignore[reportUnknownMemberType] - as above
        name="request_missed_windows",
        jobs=jobs,
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compares the calendar with what was done, and requests the windows that were missed.",
    )
    def request_missed_windows(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        for run_id in reap_dead_runs(context.instance, open_storage()):
            context.log.warning("run %s was open, but its process is gone: reported as failed", run_id)
        now = clock()
        histories = read_histories(context.instance, calendar, settings, asset_keys, open_ledger(), now)
        plan = plan_catch_up(histories.slots, now, settings.catch_up)
        requests = [
            _run_request(
                calendar.slot(each.slot),
                each.database,
                each.windows,
                each.tasks,
                asset_keys,
                attempt=_unused_attempt(context.instance, each),
                late=True,
            )
            for each in plan.requests
        ]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _explain(plan),
            asset_events=[
                dg.AssetMaterialization(key, partition=partition, metadata={"told_by": "the ledger"})
                for key, partition in histories.untold[:EVENTS_PER_TICK]
            ],
        )

    return request_missed_windows


def _window_offset(upstream: Slot, downstream: Slot) -> int:
    """Return how far back to look, in windows of the downstream slot."""
    if _fineness(downstream) > _fineness(upstream):
        return -1
    if Cadence.MINUTES in (upstream.cadence, downstream.cadence):
        # On a day whose slower window has perhaps not opened yet, the day before is the one that has.
        return 0 if upstream.cadence is Cadence.MINUTES else -MINUTES_A_DAY // downstream.every_minutes
    return 0 if upstream.at <= downstream.at else -1


def _fineness(slot: Slot) -> tuple[int, int]:
    minutes = slot.every_minutes if slot.cadence is Cadence.MINUTES else 0
    return _FINENESS.index(slot.cadence), minutes


def _run_key(slot: str, database: str, windows: Sequence[str], attempt: int) -> str:
    """Return the key by which Dagster starts a request at most once, for ever: so it holds the attempt."""
    window = windows[0] if len(windows) == 1 else f"{windows[0]}..{windows[-1]}"
    return f"{slot}:{database}:{window}:{attempt}"


def _run_request(
    slot: Slot,
    database: str,
    windows: Sequence[str],
    tasks: Sequence[str],
    asset_keys: AssetKeys,
    *,
    attempt: int,
    late: bool,
) -> dg.RunRequest:
    """Return the request for one run over windows that follow each other, of the slot's tasks or of some."""
    first, last = f"{database}|{windows[0]}", f"{database}|{windows[-1]}"
    tags = {
        DATABASE_TAG: database,
        SLOT_TAG: slot.name,
        LANE_TAG: f"{slot.name}:{database}",
        WINDOW_TAG: windows[-1],
        ATTEMPT_TAG: str(attempt),
    }
    if late:
        tags[LATE_TAG] = "true"
    if len(windows) > 1:
        tags |= {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
    some = set(tasks) != set(slot.tasks)
    return dg.RunRequest(
        run_key=_run_key(slot.name, database, windows, attempt),
        job_name=slot.name,
        partition_key=last if len(windows) == 1 else None,
        tags=tags,
        asset_selection=list(chain.from_iterable(asset_keys[task] for task in tasks)) if some else None,
    )


def _unused_attempt(instance: dg.DagsterInstance, request: CatchUpRequest) -> int:
    """Return the first attempt whose run key is new: the key of a window that was wiped is used up."""
    attempt = request.attempt
    while instance.get_runs(
        dg.RunsFilter(tags={RUN_KEY_TAG: _run_key(request.slot, request.database, request.windows, attempt)}),
        limit=1,
    ):
        attempt += 1
    return attempt


def _explain(plan: CatchUpPlan) -> str:
    if not plan.waiting:
        return "no window is missed"
    lines = [f"{each.slot} on {each.database}: {each.windows} missed, {each.reason}" for each in plan.waiting]
    return "; ".join(lines)
