"""Runs a task of the calendar through its Dagster job in this process, so that the UI knows of it, daemon or not.

Not here: what the run does (tasks.py), how the daemon runs the same job (scheduling.py).
"""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import dagster as dg
import sqlalchemy as sa
import sqlalchemy.exc
from dagster._core.utils import make_new_run_id
from dagster_postgres.utils import DagsterPostgresException

from herald_pipelines.assembly import ASSET_KEYS, build_definitions
from herald_pipelines.environment import Environment
from herald_pipelines.errors import DatabaseUnavailable, HeraldError, UsageError
from herald_pipelines.records import clean
from herald_pipelines.resources import interrupts
from herald_pipelines.resources.dagster_home import (
    DAGSTER_URL_VARIABLE,
    dagster_variables,
    prepare_dagster_home,
)
from herald_pipelines.resources.home import writing_home
from herald_pipelines.runs import (
    DATABASE_TAG,
    HELD_TAG,
    HOST_TAG,
    PID_TAG,
    SLOT_TAG,
    WINDOW_TAG,
    holding,
)
from herald_pipelines.slots import Slot
from herald_pipelines.tasks import TaskResult
from herald_pipelines.values import Say

STORAGE_ERRORS = (DagsterPostgresException, sqlalchemy.exc.SQLAlchemyError)


@dataclass(frozen=True)
class Launched:
    """What became of a run in this process."""

    run_id: str
    success: bool
    result: TaskResult | None
    """Null when the task raised before it had one."""
    error: str | None
    refused: bool
    """A guard said no, rather than that the work failed."""


@contextmanager
def dagster_instance(environment: Environment) -> Generator[dg.DagsterInstance]:
    """Open the Dagster instance of this home.

    Raises:
        UsageError: the variable holds no url that can be used, or the home cannot be written.
        DatabaseUnavailable: its storage cannot be reached, or goes away within the block.
    """
    home = environment.settings.home
    if environment.dagster_url is not None:
        _check_storage_url(environment.dagster_url)
    _require_storage(environment)
    with writing_home(home):
        prepare_dagster_home(home)
    # dagster.yaml reads its variables from the process's environment.
    os.environ.update(dagster_variables(home, environment.storage_url))
    try:
        opened = dg.DagsterInstance.get()
    except STORAGE_ERRORS as error:
        raise DatabaseUnavailable(
            "dagster's storage cannot be used",
            hint=f"the role of {DAGSTER_URL_VARIABLE} must be allowed to create tables"
            if environment.dagster_url
            else None,
        ) from error
    try:
        with opened as instance:
            yield instance
    except STORAGE_ERRORS as error:
        raise DatabaseUnavailable(
            f"dagster's storage went away: {_origin(error)}",
            hint="start its server again, and then this command: what was left open is found and closed",
        ) from error


def _origin(error: BaseException) -> str:
    """Return in one line what the server or its driver had said, which Dagster wraps into errors of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    origin = getattr(error, "orig", None) or error
    return clean(" ".join(str(origin).split()))


def _check_storage_url(url: str) -> None:
    """Refuse an operator's url that Dagster cannot use, which reads it with SQLAlchemy: that knows no list of hosts.

    Raises:
        UsageError: it is no url of a PostgreSQL database.
    """
    try:
        known = sa.make_url(url).drivername in ("postgresql", "postgresql+psycopg2")
    except (sqlalchemy.exc.ArgumentError, ValueError):
        known = False
    if not known:
        raise UsageError(
            f"{DAGSTER_URL_VARIABLE} is no url of a PostgreSQL database on one host",
            hint="write postgresql://role@host:5432/database",
        )


def _require_storage(environment: Environment) -> None:
    """Ask the storage for an answer: Dagster would try for many seconds, and not say where.

    Raises:
        UsageError: its url has what no url may have.
        DatabaseUnavailable: there is no answer.
    """
    if environment.dagster_url is None:
        where, hint = "in the embedded server", "`herald migrate` makes what is missing"
    else:
        where, hint = f"of {DAGSTER_URL_VARIABLE}", "check its host, port, database, role and password"
    try:
        with environment.storage("storage").session():
            pass
    except UsageError as error:
        raise UsageError(f"dagster's storage {where}: {error.message}", hint=error.hint) from error
    except HeraldError as error:
        raise DatabaseUnavailable(
            f"dagster's storage {where} cannot be reached: {error.message}", hint=hint
        ) from error


def launch(
    environment: Environment,
    instance: dg.DagsterInstance,
    *,
    slot: Slot,
    task: str,
    database: str,
    window: str,
    say: Say,
) -> Launched:
    """Run one task on one database for one window, through the job of its slot.

    Raises:
        KeyboardInterrupt: a signal asked this process to end; Dagster has reported the run as failed by then.
    """
    results: list[TaskResult] = []

    def keep(_database: str, result: TaskResult) -> None:
        results.append(result)

    told = replace(environment, on_result=keep, say=say)
    job = build_definitions(told).resolve_job_def(slot.name)
    run_id = make_new_run_id()
    with holding(environment.storage("run"), run_id):
        outcome = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=f"{database}|{window}",
            asset_selection=list(ASSET_KEYS[task]),
            tags={
                DATABASE_TAG: database,
                SLOT_TAG: slot.name,
                WINDOW_TAG: window,
                PID_TAG: str(os.getpid()),
                HOST_TAG: socket.gethostname(),
                HELD_TAG: "true",
            },
            # The run's own log has everything; this console belongs to the operator.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    if interrupts.received():
        raise KeyboardInterrupt
    failures = [event.step_failure_data for event in outcome.all_events if event.is_step_failure]
    failure = failures[0].user_failure_data if failures else None
    return Launched(
        run_id=outcome.run_id,
        success=outcome.success,
        result=results[0] if results else None,
        error=None
        if outcome.success
        else (failure.description if failure else "the run failed; its log says why"),
        refused=bool(failure and failure.metadata.get("refused") and failure.metadata["refused"].value),
    )
