"""The tags by which runs of ours are known, and the end of those whose process is gone.

Not here: which windows a run covers (window_history), what it does (tasks).
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg

from herald_pipelines.resources.postgres import Postgres

DATABASE_TAG = "herald/database"
SLOT_TAG = "herald/slot"
WINDOW_TAG = "herald/window"
ATTEMPT_TAG = "herald/attempt"
LATE_TAG = "herald/late"
"""On runs that make up for missed windows."""
LANE_TAG = "herald/lane"
"""Slot and database: dagster.yaml lets one run of a lane go at a time."""
PID_TAG, HOST_TAG = "herald/pid", "herald/host"
"""For people: where a run is executed that a command created."""
HELD_TAG = "herald/held"
"""On runs that are executed by the command that created them: nobody else notices when its process dies."""

UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@contextmanager
def holding(storage: Postgres, run_id: str) -> Generator[None]:
    """Hold the lock of a run in Dagster's database for the time of a block: the sign that its process is alive.

    The server gives it back however the process ends. A process number would be known on its own host alone, under
    a host name that the next container does not have.

    Raises:
        HeraldError: the database cannot be reached.
    """
    with storage.session(autocommit=True) as session:
        session.try_lock(_lock(run_id))
        yield


def reap_dead_runs(instance: dg.DagsterInstance, storage: Postgres) -> list[str]:
    """Report as failed every unfinished run whose lock nobody holds; return their ids.

    A run that the UI re-executes has the tags of the one before, and is executed elsewhere: it is left alone.

    Raises:
        HeraldError: the database cannot be reached.
    """
    held = instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED), tags={HELD_TAG: "true"}))
    held = [run for run in held if run.parent_run_id is None]
    if not held:
        return []
    # Whoever reads this at the same moment finds the lock taken, and leaves the run to us.
    with storage.session(autocommit=True) as session:
        free = [run.run_id for run in held if session.try_lock(_lock(run.run_id))]
        if not free:
            return []
        # Asked again: a run that has ended since gave its lock back as well.
        dead = instance.get_runs(dg.RunsFilter(free, statuses=list(UNFINISHED)))
        for run in dead:
            where = f"pid {run.tags.get(PID_TAG)} on {run.tags.get(HOST_TAG)}"
            instance.report_run_failed(run, f"the process that executed this run ({where}) is gone")
    return [run.run_id for run in dead]


def _lock(run_id: str) -> str:
    return f"run:{run_id}"


def in_utc(moment: datetime) -> datetime:
    """Return a moment of Dagster's storage, which leaves the zone out where it is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
