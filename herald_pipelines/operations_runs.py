"""The commands that run tasks or make ready what tasks need: one function for each, giving a JSON-able document.

Apart from the other commands because these load Dagster and Alembic, which takes longer than most of those work.
Not here: parsing (cli_runs.py), printing (console.py), anything an asset would need too (tasks.py and the domains).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from herald_pipelines import console, supervisor
from herald_pipelines.assembly import ASSET_KEYS
from herald_pipelines.bootstrap import running
from herald_pipelines.database.indexes.assets import PROPOSED
from herald_pipelines.environment import Environment
from herald_pipelines.errors import GuardRefusal, HeraldError, UsageError, unknown_value
from herald_pipelines.launch import Launched, dagster_instance, launch
from herald_pipelines.ledger import Ledger
from herald_pipelines.preparation import prepare
from herald_pipelines.registry import TASKS, is_enabled
from herald_pipelines.runs import reap_dead_runs
from herald_pipelines.settings import OPS, SAMPLE
from herald_pipelines.slots import Slot, last_opening, opens_at, window_key
from herald_pipelines.task_assets import is_late
from herald_pipelines.tasks import execute_task
from herald_pipelines.values import Say, utc_now
from herald_pipelines.window_history import window_states

Environ = Mapping[str, str]
Document = dict[str, Any]
NO_RUN = "dry run"


@dataclass(frozen=True)
class RunOutcome:
    """What `herald run` prints and exits with."""

    document: Document
    exit_code: int


def migrate(environ: Environ, cwd: Path) -> Document:
    """Bring the ops database to this version's schema."""
    environment = Environment.load(environ, cwd)
    with console.progress() as say, running(environment, say, create=True):
        report = prepare(environment, scale=None, say=say)
    return {
        "revision": report.to_revision,
        "from_revision": report.from_revision,
        "applied": list(report.applied),
    }


def windows(environ: Environ, cwd: Path, *, missed: bool, database: str | None) -> Document:
    """Return the windows within the look-back and what became of them."""
    environment = Environment.load(environ, cwd)
    if database is not None:
        environment.settings.database(database)
    now = utc_now()
    with (
        console.progress() as say,
        running(environment, say),
        dagster_instance(environment) as instance,
    ):
        reap_dead_runs(instance, environment.storage("reap"))
        ledger = Ledger(environment.targets.ops("windows", read_only=True))
        states = window_states(instance, environment.calendar, environment.settings, ASSET_KEYS, ledger, now)
    return {
        "missed": missed,
        "now": now.isoformat(),
        "windows": [
            {
                "database": state.database,
                "slot": state.slot,
                "window": state.window,
                "opened_at": state.opened_at.isoformat(),
                "state": state.state.value,
                "open_tasks": list(state.open_tasks),
                "attempts": state.attempts,
                "retry_at": None if state.retry_at is None else state.retry_at.isoformat(),
            }
            for state in states
            if (state.missed or not missed) and database in (None, state.database)
        ],
    }


def run(
    environ: Environ, cwd: Path, *, task: str, window: str | None, database: str | None, dry_run: bool
) -> RunOutcome:
    """Run a task on one database or on all, through its Dagster job; a dry run only plans.

    Raises:
        UsageError: no such task, database or window, the window has not opened yet, or the task is disabled.
    """
    environment = Environment.load(environ, cwd)
    if task not in TASKS:
        raise unknown_value("task", task, TASKS)
    slot = environment.calendar.slot_of(task)
    settings, now = environment.settings, utc_now()
    if database is not None:
        settings.database(database)
    key = _window(slot, window, now)
    names = [
        name for name in settings.names() if is_enabled(settings, name, task) and database in (None, name)
    ]
    if not names:
        raise UsageError(
            f"{task} is disabled on {'every database' if database is None else database}",
            hint=TASKS[task].concern
            or f"`enabled: true` at tasks.{task} of a database in herald.yaml allows it",
        )
    # A first run makes our own embedded databases; an ops database elsewhere is migrated by its operator.
    with console.progress() as say, running(environment, say, create=not dry_run):
        if settings.embedded and not dry_run:
            prepare(environment, scale=None, say=say)
        if dry_run:
            entries = [_plan(environment, slot, task, name, key, now, say) for name in names]
        else:
            with dagster_instance(environment) as instance:
                reap_dead_runs(instance, environment.storage("reap"))
                entries = [
                    _entry(
                        environment,
                        task,
                        name,
                        launch(
                            environment, instance, slot=slot, task=task, database=name, window=key, say=say
                        ),
                    )
                    for name in names
                ]
    failed = {entry["outcome"] for entry in entries}
    return RunOutcome(
        {"task": task, "slot": slot.name, "window": key, "dry_run": dry_run, "databases": entries},
        exit_code=1 if "failed" in failed else 3 if "refused" in failed else 0,
    )


def up(environ: Environ, cwd: Path, *, port: int, scale: float) -> int:
    """Start everything and keep it running until a signal ends it."""
    environment = Environment.load(environ, cwd)
    if environment.settings.source is not None:
        # The processes run in another folder.
        environ = {**environ, "HERALD_CONFIG": str(environment.settings.source.absolute())}
    with running(environment, console.tell, create=True):
        with console.progress() as say:
            prepare(environment, scale=scale, say=say)
            if environment.dagster_url is not None:
                # An answer now, rather than from the logs of processes that do not come up.
                with dagster_instance(environment):
                    pass
        return supervisor.up(
            environment.settings.home,
            port=port,
            environ=environ,
            storage=environment.dagster_url or environment.embedded,
            say=console.tell,
            workload=environment.has_sample,
        )


def demo(environ: Environ, cwd: Path, *, scale: float) -> Document:
    """Run the daily and the weekly window on the sample platform, and say what was found, done and proposed.

    Raises:
        UsageError: the settings name databases of one's own: a demo must not touch them.
        HeraldError: a task failed.
    """
    environment = Environment.load(environ, cwd)
    if not environment.has_sample:
        raise UsageError(
            f"the demo needs the sample platform, and {environment.settings.source} names databases of its own",
            hint="run it in a folder without herald.yaml",
        )
    with console.progress() as say, running(environment, say, create=True):
        prepare(environment, scale=scale, say=say)
        with dagster_instance(environment) as instance:
            for database in (OPS, SAMPLE):
                found = _must(environment, instance, "index_analysis", database, say)
                done = _must(environment, instance, "index_rebuild", database, say)
            partitions = _must(environment, instance, "partition_inventory", SAMPLE, say)
    summary, rebuilt = found["summary"], done["summary"]
    return {
        "home": str(environment.settings.home),
        "database": SAMPLE,
        "found": summary,
        "done": rebuilt,
        "rebuilt": [row for row in done["indexes"] if row["outcome"] == "done"],
        "proposed": [
            {"index": f"{row['schema']}.{row['index']}", "size_bytes": row["size_bytes"], **verdict}
            for row in found["indexes"]
            for verdict in row["verdicts"]
            if verdict["kind"] in PROPOSED
        ],
        "partitions": partitions["summary"],
    }


def _must(
    environment: Environment,
    instance: dg.DagsterInstance,
    task: str,
    database: str,
    say: Say,
) -> Mapping[str, Any]:
    slot = environment.calendar.slot_of(task)
    window = _window(slot, None, utc_now())
    say(f"{task} on {database}, window {window}")
    launched = launch(environment, instance, slot=slot, task=task, database=database, window=window, say=say)
    if launched.result is None or launched.error is not None:
        raise HeraldError(launched.error or f"{task} gave no result")
    return launched.result.document


def _window(slot: Slot, window: str | None, now: datetime) -> str:
    """Return the key of the window that was asked for, or of the newest one."""
    if window is None:
        window = window_key(slot, last_opening(slot, now))
    if opens_at(slot, window) > now:
        raise UsageError(
            f"window {window} of {slot.name} has not opened yet",
            hint=f"the newest is {window_key(slot, last_opening(slot, now))}",
        )
    return window


def _plan(
    environment: Environment,
    slot: Slot,
    task: str,
    database: str,
    window: str,
    now: datetime,
    say: Say,
) -> Document:
    settings = environment.settings
    entry: Document = {
        "database": database,
        "mode": settings.mode_of(database, task).value,
        "run_id": None,
        "reason": None,
    }
    try:
        result = execute_task(
            TASKS[task],
            database,
            covered=(window,),
            late=is_late(slot, (window,), now, settings),
            dry_run=True,
            now=now,
            run_id=NO_RUN,
            settings=settings,
            targets=environment.targets,
            say=say,
        )
    except GuardRefusal as error:
        return {**entry, "outcome": "refused", "reason": str(error)}
    except HeraldError as error:
        return {**entry, "outcome": "failed", "reason": str(error)}
    return {**entry, "outcome": "planned", **result.document}


def _entry(environment: Environment, task: str, database: str, launched: Launched) -> Document:
    outcome = "done" if launched.success else "refused" if launched.refused else "failed"
    return {
        "database": database,
        "mode": environment.settings.mode_of(database, task).value,
        "run_id": launched.run_id,
        "reason": launched.error,
        "outcome": outcome,
        **(launched.result.document if launched.result else {}),
    }
