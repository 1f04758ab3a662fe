"""Reads what the plan of a restore needs to know of the server, and gives the session that a restore works from.

The session is in another database than the one that is restored: that one must be renamed, or may not exist any more.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from herald_pipelines.backup.restore_refusals import Occupant, ServerFacts, SessionFacts
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.settings.conninfo import parse_url, with_database

TASK = "database_restore"
MAINTENANCE_DATABASES = ("postgres", "template1")
STATEMENT_SECONDS = 6 * 3600.0
"""Of a single statement: ANALYZE of a large table, DROP DATABASE on a slow disk."""
LOCK_SECONDS = 30.0


def reach(target: Postgres, database: str) -> Postgres:
    """Return how another database of the same server is reached, for writing."""
    return replace(
        target,
        url=with_database(target.url, database),
        task=TASK,
        read_only=False,
        statement_timeout_seconds=STATEMENT_SECONDS,
        lock_timeout_seconds=LOCK_SECONDS,
    )


@contextmanager
def maintenance_session(target: Postgres, name: str) -> Generator[Session]:
    """Give an autocommit session on a server that is not in the database of a name.

    Args:
        target: address of the capability `restore`; the database in it need not exist.
        name: of the database that will be renamed.

    Raises:
        DatabaseUnavailable: the server cannot be reached.
        PermanentFailure: none of its databases lets us in.
    """
    own = parse_url(target.url)["dbname"]
    first_failure: PermanentFailure | None = None
    with ExitStack() as stack:
        for database in dict.fromkeys((*MAINTENANCE_DATABASES[:1], own, *MAINTENANCE_DATABASES[1:])):
            if database == name:
                continue
            try:
                session = stack.enter_context(reach(target, database).session(autocommit=True))
            except PermanentFailure as error:
                first_failure = first_failure or error
                continue
            yield session
            return
    if first_failure is None:
        raise PermanentFailure(f"there is no other database than {name!r} to restore it from")
    raise first_failure


def read_server_facts(session: Session, name: str) -> ServerFacts:
    """Return what a restore of a database of a name must know of the server.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    row = session.fetch_one("backup/read_restorer")
    return ServerFacts(
        server_version=row["server_version"],
        system_identifier=row["system_identifier"],
        is_standby=row["is_standby"],
        role=row["role"],
        is_superuser=row["is_superuser"],
        may_create_databases=row["may_create_databases"],
        may_create_roles=row["may_create_roles"],
        roles={each["name"]: each["may_act"] for each in session.fetch("backup/list_server_roles")},
        tablespaces=frozenset(each["name"] for each in session.fetch("backup/list_tablespaces")),
        extensions={
            each["name"]: each["needs_superuser"] for each in session.fetch("backup/list_server_extensions")
        },
        databases=frozenset(each["name"] for each in session.fetch("backup/list_databases")),
        occupant=find_occupant(session, name),
        free_bytes=_free_bytes(row),
    )


def find_occupant(session: Session, name: str) -> Occupant | None:
    """Return the database that has a name, or None.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    rows = session.fetch("backup/find_occupant", name=name)
    if not rows:
        return None
    row = rows[0]
    lists: dict[str, Any] = {key: tuple(row[key]) for key in ("prepared", "slots", "subscriptions")}
    return Occupant(**{**row, **lists}, sessions=list_sessions(session, row["oid"]))


def list_sessions(session: Session, oid: int) -> tuple[SessionFacts, ...]:
    """Return who is connected to a database.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    return tuple(SessionFacts(**each) for each in session.fetch("backup/list_sessions_of", oid=oid))


def _free_bytes(row: Mapping[str, Any]) -> int | None:
    """Return the free bytes of the server's disk where its processes and folders are this machine's.

    That a path exists here proves nothing (a tunnel, a container), so the session's own process must be visible here too.
    """
    if not row["is_local"] or not row["data_directory"]:
        return None
    try:
        if not Path(f"/proc/{row['pid']}/cmdline").read_bytes().startswith(b"postgres: "):
            return None
        status = os.statvfs(row["data_directory"])
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
