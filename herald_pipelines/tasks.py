"""What a maintenance task is, and the one way in which every task is executed on a database for a window.

A task's body is a plain function from a `TaskContext` to a `TaskResult`. `execute_task` puts around it what no
task may forget: the database's identity, the lock, rows of interrupted predecessors closed, the guard, the
window's own ledger row. The Dagster op (task_assets.py) and the CLI call the same function. Not here: Dagster,
what a single task does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from herald_pipelines.database.guards import wait_until_quiet
from herald_pipelines.errors import GuardRefusal
from herald_pipelines.ledger import Ledger
from herald_pipelines.markdown import Markdown
from herald_pipelines.resources.postgres import Postgres, Session, read_identity
from herald_pipelines.resources.targets import Targets
from herald_pipelines.settings import Settings
from herald_pipelines.values import Capability, DatabaseIdentity, Mode, Outcome

WORKER_STOP_SECONDS = 30.0
"""How long a backend whose client was killed may take to stop: it looks for its client every two seconds."""
ASSET_PREFIX = "herald"
"""First part of every asset's key."""


Metadata = Mapping[str, int | float | str | bool | Markdown]


@dataclass(frozen=True)
class AssetInfo:
    """An asset that a task materializes."""

    name: str
    description: str
    deps: tuple[str, ...] = ()
    """Names of the assets it is made from; those of other slots are mapped by time."""
    io_manager: str | None = None
    """Resource that reads what the task has written, for whoever takes the asset as an input; None: it has no value."""

    @property
    def key(self) -> str:
        """Its key as the UI writes it."""
        return f"{ASSET_PREFIX}/{self.name}"


@dataclass(frozen=True)
class CheckInfo:
    """A verdict that a task gives on one of its assets."""

    name: str
    asset: str
    description: str


@dataclass(frozen=True)
class CheckVerdict:
    """The verdict of one check on one database."""

    check: str
    passed: bool
    is_error: bool
    """Severity when it does not pass: true = ERROR, false = WARN."""
    summary: str
    metadata: Mapping[str, int | float | str] = field(default_factory=dict[str, int | float | str])


@dataclass(frozen=True)
class TaskResult:
    """What a task found and did on one database."""

    metadata: Mapping[str, Metadata]
    """By asset name: numbers plot over time, Markdown is for people."""
    checks: tuple[CheckVerdict, ...]
    summary: Mapping[str, int | float | str]
    """A few numbers for the ledger's window row."""
    document: Mapping[str, Any]
    """All of it for machines: what `herald run --json` prints for this database."""
    problems: tuple[str, ...] = ()
    """Objects that failed; the task went on with the others, and its window counts as failed."""


@dataclass(frozen=True)
class TaskContext:
    """All that a task's body may know."""

    task: str
    database: str
    window: str
    """Key of the newest window this run covers."""
    covered: tuple[str, ...]
    """Keys of all windows it covers, oldest first; several when missed ones are made up for in one run."""
    late: bool
    mode: Mode
    dry_run: bool
    budget_seconds: float
    now: datetime
    run_id: str
    settings: Settings
    targets: Targets
    ops: Postgres | None
    """None: a reading command where the ops database cannot be reached."""
    ledger: Ledger | None
    identity: DatabaseIdentity
    say: Callable[[str], None]

    @property
    def may_act(self) -> bool:
        """Whether the target may be changed."""
        return self.mode is Mode.APPLY and not self.dry_run


def _every_database(_settings: Settings, _database: str) -> bool:
    return True


@dataclass(frozen=True)
class Task:
    """One entry of the calendar's slots."""

    name: str
    description: str
    group: str
    assets: tuple[AssetInfo, ...]
    checks: tuple[CheckInfo, ...]
    body: Callable[[TaskContext], TaskResult]
    acts: bool = False
    """Changes its target in `apply` mode, so it waits for the busy guard first."""
    concerns: Callable[[Settings, str], bool] = _every_database
    """Whether it is for a database at all: what is done once for the platform is done with the ops database."""
    concern: str | None = None
    """What must hold for that, as a hint."""


def execute_task(
    task: Task,
    database: str,
    *,
    covered: tuple[str, ...],
    late: bool,
    dry_run: bool,
    now: datetime,
    run_id: str,
    settings: Settings,
    targets: Targets,
    say: Callable[[str], None],
) -> TaskResult:
    """Execute a task on one database for the windows that it covers.

    A dry run reads only: no lock, no ledger row, and no ops database needed. The ledger has a row of every
    window that began. One that could not begin, because the target is not reached or another run is at work on
    it, has none: only the run's own failure tells of it.

    Raises:
        GuardRefusal: the task is at work on this database already, or the database is too busy.
        HeraldError: the task could not begin, or it failed.
    """
    observe = targets.postgres(database, Capability.OBSERVE, task.name)
    ops = targets.ops(task.name, read_only=dry_run)

    def context(identity: DatabaseIdentity, ledger: Ledger | None) -> TaskContext:
        return TaskContext(
            task=task.name,
            database=database,
            window=covered[-1],
            covered=covered,
            late=late,
            mode=settings.mode_of(database, task.name),
            dry_run=dry_run,
            budget_seconds=settings.budget_of(database, task.name),
            now=now,
            run_id=run_id,
            settings=settings,
            targets=targets,
            ops=ops,
            ledger=ledger,
            identity=identity,
            say=say,
        )

    if dry_run:
        return task.body(context(observe.identity(), None))
    with observe.session(autocommit=True) as keeper:
        identity = read_identity(keeper)
        _take_locks(keeper, task, settings.database(database).guards.wait_seconds, say)
        ledger = Ledger(ops, run_id)
        ledger.see(identity)
        for entry in ledger.close_interrupted(identity, task.name):
            say(f"closed as interrupted: {entry.object_name or 'the window'} of an earlier run")
        return _in_window(task, context(identity, ledger), ledger, observe)


def _take_locks(keeper: Session, task: Task, wait_seconds: float, say: Callable[[str], None]) -> None:
    """Lock (database, task) for this run, once the backend of a killed predecessor has stopped working.

    A run that is at work is waited for: a backfill starts several, and each has windows of its own.
    """
    lock = f"window:{task.name}"
    if not keeper.try_lock(lock):
        say(f"waiting for another run of {task.name} on {keeper.database} to end")
        if not keeper.wait_for_lock(lock, wait_seconds):
            raise GuardRefusal(
                f"{task.name} is already running on {keeper.database}",
                hint="wait for it to end: `herald windows` and the UI's runs page show it",
            )
    if not keeper.wait_for_lock(task.name, WORKER_STOP_SECONDS):
        raise GuardRefusal(
            f"a server process of an earlier {task.name} is still at work on {keeper.database}",
            hint=f"it stops by itself; pg_stat_activity shows it with application_name 'herald:{task.name}'",
        )
    keeper.unlock(task.name)


def _in_window(task: Task, context: TaskContext, ledger: Ledger, observe: Postgres) -> TaskResult:
    """Run the body between the opening and the closing of the window's own ledger row."""
    evidence = {"mode": context.mode.value, "late": context.late, "covered": list(context.covered)}
    with ledger.action(context.identity, task.name, context.window, evidence=evidence) as action:
        if task.acts and context.may_act:
            guards = context.settings.database(context.database).guards
            wait_until_quiet(observe, guards, say=context.say)
        result = task.body(context)
        action.result.update(result.summary)
        for verdict in result.checks:
            check = next(each for each in task.checks if each.name == verdict.check)
            asset = next(each for each in task.assets if each.name == check.asset)
            ledger.check(
                context.identity,
                context.window,
                task.name,
                asset.key,
                verdict.check,
                passed=verdict.passed,
                severity="ERROR" if verdict.is_error else "WARN",
                metadata={**verdict.metadata, "summary": verdict.summary},
            )
        if result.problems:
            action.outcome, action.reason = Outcome.FAILED, "; ".join(result.problems)
    return result
