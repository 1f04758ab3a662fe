"""The tags by which runs of ours are known, and the end of those whose process is gone.

Not here: which windows a run covers (window_history), what it does (tasks).
"""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import psutil

DATABASE_TAG = "herald/database"
SLOT_TAG = "herald/slot"
WINDOW_TAG = "herald/window"
ATTEMPT_TAG = "herald/attempt"
LATE_TAG = "herald/late"
"""On runs that make up for missed windows."""
LANE_TAG = "herald/lane"
"""Slot and database: dagster.yaml lets one run of a lane go at a time."""
PID_TAG, HOST_TAG = "herald/pid", "herald/host"
"""On runs that are executed by the process that created them: nobody else notices when it dies."""

UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
CLOCK_SLACK_SECONDS = 60.0
"""By so much the clocks of the database and of the system's processes may differ."""


def process_start(pid: int) -> float | None:
    """Return when a process of this host began, in seconds since 1970; None when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def reap_dead_runs(
    instance: dg.DagsterInstance, host: str, started_at: Callable[[int], float | None] = process_start
) -> list[str]:
    """Report as failed every unfinished run whose own process on this host is gone; return their ids.

    A process that began after the run has only got the number of the one that is gone. A run that the UI
    re-executes has the tags of the one before, and is executed elsewhere: it is left alone.
    """
    dead: list[str] = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED), tags={HOST_TAG: host})):
        run = record.dagster_run
        pid = run.tags.get(PID_TAG, "")
        if not pid.isdecimal() or run.parent_run_id is not None:
            continue
        start, created = started_at(int(pid)), in_utc(record.create_timestamp).timestamp()
        if start is None or start > created + CLOCK_SLACK_SECONDS:
            instance.report_run_failed(
                run, f"the process that executed this run (pid {pid} on {host}) is gone"
            )
            dead.append(run.run_id)
    return dead


def in_utc(moment: datetime) -> datetime:
    """Return a moment of Dagster's storage, which leaves the zone out where it is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
