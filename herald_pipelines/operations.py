"""One function for each command: takes the environment and what was asked, gives a JSON-able document.

Not here: parsing (cli_settings.py, cli_indexes.py), printing (console.py), what needs Dagster (operations_runs.py),
anything an asset would need too (tasks.py and the domains).
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from herald_pipelines import console
from herald_pipelines.backup.ring import check_keys
from herald_pipelines.bootstrap import running
from herald_pipelines.calendar import load_calendar
from herald_pipelines.database.indexes.analysis import analyze_indexes, describe_indexes
from herald_pipelines.database.security.acceptance import check_accepted
from herald_pipelines.environment import Environment
from herald_pipelines.errors import HeraldError, UsageError, unknown_value
from herald_pipelines.registry import TASKS
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.queries import sql_root
from herald_pipelines.settings import check_config, find_calendar
from herald_pipelines.slots import Slot
from herald_pipelines.values import Capability, utc_now

Environ = Mapping[str, str]
Document = dict[str, Any]


def check(environ: Environ, cwd: Path) -> Document:
    """Return the resolved settings, masked, and the calendar's slots.

    Raises:
        UsageError: every mistake in either file, one a line.
    """
    mistakes: list[UsageError] = []
    document: Document = {}
    slots: tuple[Slot, ...] = ()
    key: str | None = None
    try:
        document = check_config(environ, cwd, tasks=TASKS)
    except UsageError as error:
        mistakes.append(error)
    try:
        slots = load_calendar(find_calendar(environ, cwd), TASKS).slots
    except UsageError as error:
        mistakes.append(error)
    if not mistakes:
        try:
            key = _check_meaning(environ, cwd)
        except UsageError as error:
            mistakes.append(error)
    if mistakes:
        # A file that cannot be read at all is told once.
        texts = dict.fromkeys(error.message for error in mistakes)
        raise UsageError("\n".join(texts), hint=mistakes[-1].hint)
    return {
        "settings": document,
        "backup_key": key,
        "slots": {slot.name: f"{slot.rhythm}: {', '.join(slot.tasks)}" for slot in slots},
    }


def _check_meaning(environ: Environ, cwd: Path) -> str | None:
    """Check accepted risks, try the keys of a configured store, and return the fingerprint of the current one."""
    settings = Environment.load(environ, cwd).settings
    check_accepted(settings)
    return None if settings.backup.store is None else check_keys(settings, environ).current.fingerprint


def role_sql(role: str) -> str:
    """Return the SQL that creates a role.

    Raises:
        UsageError: no such role.
    """
    known = {path.stem: path for path in (sql_root() / "roles").glob("*.sql")}
    if role not in known:
        raise unknown_value("role", role, known)
    return known[role].read_text(encoding="utf-8")


def indexes(environ: Environ, cwd: Path, *, database: str) -> Document:
    """Measure and judge the indexes of a database; reads only, with or without an ops database."""
    environment = Environment.load(environ, cwd)
    settings, now = environment.settings, utc_now()
    own = settings.database(database).url is not None
    notes: list[str] = []
    # A database of the operator's own is analysed before anything of ours is set up, too.
    with (
        console.progress() as say,
        nullcontext() if own and not environment.is_set_up else running(environment, say),
    ):
        observe = environment.targets.postgres(database, Capability.OBSERVE, "indexes")
        identity = observe.identity()
        ops = reachable_ops(environment, notes, "indexes")
        analysis = analyze_indexes(
            observe,
            environment.targets.replicas(database, "indexes"),
            ops,
            identity,
            settings.indexes_of(database),
            budget_seconds=settings.budget_of(database, "index_analysis"),
            now=now,
            say=say,
        )
    return {
        "database": database,
        "server_version": identity.server_version,
        "analyzed_at": now.isoformat(),
        "indexes": describe_indexes(analysis, now),
        "notes": notes,
    }


def reachable_ops(environment: Environment, notes: list[str], task: str) -> Postgres | None:
    """Return the ops database, or None with a note when it cannot be reached or holds no schema of ours yet."""
    try:
        ops = environment.targets.ops(task, read_only=True)
        with ops.session() as session:
            if session.fetch("ledger/find_schema"):
                return ops
    except HeraldError as error:
        notes.append(f"no history: {error.message}")
        return None
    notes.append("no history: the ops database holds no schema of ours (herald migrate creates it)")
    return None
