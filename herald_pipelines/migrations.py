"""Bring the ops database to the newest schema, forward only: Alembic as a library, plain SQL as its scripts.

A migration is a file sql/migrations/NNNN_words.sql and nothing else: its number is Alembic's revision, and
it follows the number before it. Everything pending runs in one transaction, so it is applied whole or not
at all, and under an advisory lock, so a second process waits and then finds nothing to do. The files of
sql/views follow: each is a `create or replace view` and runs again when its text has changed. So a view may
gain columns at its end; to take one away, a migration drops the view first.

Not here: what the tables mean (their comments say), rows of any of them.
"""

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
import psycopg2.errors
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script.base import Script
from alembic.script.revision import RevisionMap
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.postgres import LOCK_NAMESPACE, Postgres, Session, lock_key, translate_error
from herald_pipelines.resources.queries import sql_root

FILE_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
VERSION_TABLE = {"version_table": "schema_version", "version_table_schema": "herald"}
# Long enough for another process to finish its upgrade.
WAIT_FOR_OTHERS_SECONDS = 120
# Short, because whoever waits for a table lock makes everybody behind it wait too.
LOCK_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class MigrationReport:
    """What an upgrade did."""

    from_revision: str | None
    """Null when the database held nothing of ours."""
    to_revision: str | None
    applied: tuple[str, ...]
    """File names without their ending, in the order in which they ran."""


def migrate(ops: Postgres) -> MigrationReport:
    """Apply what is pending to the ops database. Safe to run again, and by several processes at once.

    Args:
        ops: address with a role that owns the schema, or may create it and the groups of sql/roles/ops.sql.

    Raises:
        UsageError: the database is newer than this code, or the role may not create or act as the owner.
        LockTimeout: another process has been upgrading for too long, or a table is in use.
        PermanentFailure: a file is wrong.
    """
    patient = replace(
        ops,
        read_only=False,
        statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
        lock_timeout_seconds=WAIT_FOR_OTHERS_SECONDS,
    )
    with patient.session() as session, _lend_to_sqlalchemy(session) as connection:
        session.execute(
            "select pg_advisory_xact_lock(%(space)s::int, %(key)s::int)",
            {"space": LOCK_NAMESPACE, "key": lock_key("migrate")},
        )
        session.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
        _become_owner(session)
        revisions = RevisionMap(partial(read_migrations, sql_root() / "migrations", session))
        current, missing = _compare(connection, revisions, session.database)

        def steps(_heads: object, _context: object) -> list[RevisionStep]:
            return [RevisionStep(revisions, script, is_upgrade=True) for script in missing]

        MigrationContext.configure(connection, opts={**VERSION_TABLE, "fn": steps}).run_migrations()
        _replace_views(session)
    return MigrationReport(
        from_revision=current,
        to_revision=missing[-1].revision if missing else current,
        applied=tuple(Path(script.path).stem for script in missing),
    )


def read_migrations(folder: Path, session: Session) -> list[Script]:
    """Return a folder's migrations as Alembic's scripts, oldest first; each runs its file in the session.

    Raises:
        PermanentFailure: a file has another kind of name, or the numbers are not 0001, 0002, ... in a row.
    """
    scripts: list[Script] = []
    previous: str | None = None
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        revision = f"{number:04d}"
        if not FILE_NAME.fullmatch(path.name) or not path.name.startswith(revision):
            raise PermanentFailure(f"migration {path.name!r} where {revision}_<words>.sql was expected")
        # What Alembic would import from a Python file.
        module: Any = ModuleType(path.stem)
        module.down_revision = previous
        module.upgrade = partial(_run_file, session, path)
        scripts.append(Script(module, revision, str(path)))
        previous = revision
    return scripts


def _compare(
    connection: sa.Connection, revisions: RevisionMap, database: str
) -> tuple[str | None, list[Script]]:
    """Return the database's revision and the scripts that it lacks, oldest first."""
    current = MigrationContext.configure(connection, opts=VERSION_TABLE).get_current_revision()
    scripts = [each for each in revisions.iterate_revisions("head", "base") if isinstance(each, Script)]
    scripts.reverse()
    known = [script.revision for script in scripts]
    if current is None:
        return None, scripts
    if current not in known:
        raise UsageError(
            f"database {database!r} is at migration {current} (known: {known[0]} to {known[-1]})",
            hint="a newer version of herald has upgraded it: use that version or a later one",
        )
    return current, scripts[known.index(current) + 1 :]


def _become_owner(session: Session) -> None:
    """Create groups and schema where they are missing; act as the owner until the transaction ends."""
    try:
        _run_file(session, sql_root() / "roles" / "ops.sql")
        session.execute("set local role herald_owner")
    except PermanentFailure as error:
        if not isinstance(error.__cause__, psycopg2.errors.InsufficientPrivilege):
            raise
        role = session.connection.info.user
        raise UsageError(
            f"role {role!r} may not set up the schema herald: {error.message}",
            hint=f"let a superuser run here once: herald roles ops | psql; then: grant herald_owner to {role}",
        ) from error


def _replace_views(session: Session) -> None:
    applied = {row["view_name"]: row["source_md5"] for row in session.fetch("ledger/list_view_sources")}
    for path in sorted((sql_root() / "views").glob("*.sql")):
        source_md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if applied.get(path.stem) != source_md5:
            _run_file(session, path)
            session.fetch("ledger/record_view_source", view_name=path.stem, source_md5=source_md5)


def _run_file(session: Session, path: Path) -> None:
    """Run a file of several statements through the driver's cursor, where `:name` and `%` mean themselves."""
    try:
        with session.connection.cursor() as cursor:
            cursor.execute(path.read_text(encoding="utf-8"))
    except psycopg2.Error as error:
        raise translate_error(error, f"{path.parent.name}/{path.name} on {session.database}") from error


@contextmanager
def _lend_to_sqlalchemy(session: Session) -> Generator[sa.Connection]:
    """Give a session's connection the face that Alembic knows; commits at the end.

    To be entered before anything else: SQLAlchemy begins by asking the server a few things and rolls back.
    """
    engine = sa.create_engine(
        "postgresql+psycopg2://", creator=lambda: session.connection, poolclass=StaticPool
    )
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise translate_error(error, f"schema version of {session.database}") from error
