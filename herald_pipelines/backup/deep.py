"""Proves a backup: restores it into a throw-away server of the same major version, and looks whether all is there and sound.

Rows and content against the archive, every b-tree against its table, and the operator's own queries. Drills do the same.
Not here: the server and restoring (scratch.py), comparing rows (comparison.py).
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from herald_pipelines.backup.comparison import compare_contents
from herald_pipelines.backup.facts import DatabaseFacts, Proof, Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.proofs import Unproven, conclude
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.scratch import restore_into_scratch, scratch_server
from herald_pipelines.backup.verify import require_means, verify_parts
from herald_pipelines.errors import PermanentFailure, StatementTimeout, UsageError
from herald_pipelines.resources.clients import ClientPrograms
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.postgres import Postgres, Row, Session
from herald_pipelines.values import Say, quote_identifier

AMCHECK_SCHEMA = "herald_amcheck"
SESSIONS = 2
"""Which check b-trees at once: the machines of this have two cores at least."""
CHECK_SECONDS = 6 * 3600.0
"""For one b-tree: 100 GB take an hour or so."""
QUERY_SECONDS = 600.0
OF_THE_SERVER = (
    "No space left on device",
    "out of memory",
    "server closed the connection",
    "terminating connection",
)
"""What pg_restore says where the throw-away server is to blame: that is no verdict."""
USUAL_SEARCH_PATH = '"$user", public'
MOST_NAMED = 20


def prove_backup(
    repository: Repository,
    backup: Backup,
    programs: Mapping[int, Path],
    queries: Sequence[str],
    *,
    now: datetime,
    say: Say,
) -> Proof:
    """Restore a backup of a database into a server of its own, judge it, and return the proof that is beside it now.

    Args:
        repository: where it is; the server lies in its work folder.
        backup: as the catalog has it.
        programs: folders of PostgreSQL's programs by major version, of the settings.
        queries: statements that must give a row, of the settings.
        now: when it begins.
        say: told of the progress.

    Raises:
        UsageError: it is no backup of a database, or programs, amcheck or the private key are not here.
        GuardRefusal: there is no room.
        HeraldError: whatever else hinders a verdict.
    """
    facts = backup.manifest.database
    if facts is None:
        raise UsageError(f"{backup.manifest.id} is a backup of a {backup.manifest.kind}, not of a database")
    clients = require_means(repository, backup.manifest, programs, with_server=True)
    if clients is None:
        raise UsageError(f"{backup.manifest.id} is no backup of a database")

    def restore_and_judge() -> dict[str, Any]:
        # What is restored is verified on its way.
        others = tuple(part for part in backup.manifest.parts if part not in backup.manifest.archives)
        verify_parts(repository, backup.manifest.model_copy(update={"parts": others}), clients, say)
        started = time.monotonic()
        with scratch_server(clients.major, programs, repository.work_folder) as server:
            try:
                restored, _ = restore_into_scratch(repository, backup, server, now=now, say=say)
            except CommandFailed as error:
                if any(words in error.message for words in OF_THE_SERVER):
                    raise
                raise Unproven(f"it cannot be restored: {error.message}", {}) from error
            details = {"restore_seconds": round(time.monotonic() - started, 3)}
            return details | judge_restored(repository, backup, restored, clients, queries, say)

    return conclude(repository, backup, Scope.RESTORED, restore_and_judge, now=now)


def judge_restored(
    repository: Repository,
    backup: Backup,
    restored: Postgres,
    clients: ClientPrograms,
    queries: Sequence[str],
    say: Say,
) -> dict[str, Any]:
    """Judge a database that a backup was restored into and that nobody has touched since; amcheck stays in it.

    Raises:
        Unproven: rows, content or a b-tree are not right, or a query gives none.
        HeraldError: whatever hinders a verdict.
    """
    facts = backup.manifest.database
    if facts is None:
        raise UsageError(f"{backup.manifest.id} is no backup of a database")
    started = time.monotonic()
    details = compare_contents(repository, backup.manifest, restored, clients, say)
    compared = time.monotonic()
    details |= {"compare_seconds": round(compared - started, 3)}
    say("checking b-trees")
    details |= check_btrees(restored)
    details |= {"check_seconds": round(time.monotonic() - compared, 3)}
    return details | run_queries(restored, facts, queries)


def check_btrees(restored: Postgres) -> dict[str, Any]:
    """Let amcheck look through every b-tree, and whether each row of its table is in it.

    Raises:
        Unproven: one is damaged, or an index is not valid.
        UsageError: the server has no amcheck.
    """
    address = restored.writable(statement_timeout_seconds=CHECK_SECONDS)
    with address.session(autocommit=True) as session:
        schema = _use_amcheck(session)
        invalid = [row["name"] for row in session.fetch("backup/list_broken_indexes")]
        btrees = session.fetch("backup/list_btrees")
    damaged = _check_all(address, schema, btrees)
    details = {"btrees_checked": len(btrees), "btree_bytes": sum(row["size_bytes"] for row in btrees)}
    wrong = [*(f"{name} is not valid" for name in invalid), *damaged]
    if wrong:
        raise Unproven(f"{len(wrong)} indexes are damaged: {'; '.join(wrong[:MOST_NAMED])}", details)
    return details


def _check_all(address: Postgres, schema: str, btrees: Sequence[Row]) -> list[str]:
    """Check b-trees in several sessions, and return what is wrong; when this is interrupted, so are they."""
    waiting = iter(btrees)
    stopped = threading.Event()
    sessions: list[Session] = []

    def check(_number: int) -> list[str]:
        damaged: list[str] = []
        with address.session(autocommit=True) as session:
            sessions.append(session)
            session.execute(f"set search_path = pg_catalog, {quote_identifier(schema)}")
            for row in waiting:
                if stopped.is_set():
                    break
                try:
                    session.fetch("backup/check_btree", oid=row["oid"])
                except PermanentFailure as error:
                    damaged.append(f"{row['name']}: {error.message}")
        return damaged

    with ThreadPoolExecutor(SESSIONS) as pool:
        try:
            return sorted(text for found in pool.map(check, range(SESSIONS)) for text in found)
        except BaseException:
            stopped.set()
            for session in sessions:
                with suppress(Exception):  # it is closed already
                    session.connection.cancel()
            raise


def _use_amcheck(session: Session) -> str:
    """Install amcheck where the archive brought none, and return its schema."""
    found = session.fetch("backup/find_amcheck")
    if not found:
        try:
            session.execute(f"create schema if not exists {quote_identifier(AMCHECK_SCHEMA)}")
            session.execute(f"create extension amcheck schema {quote_identifier(AMCHECK_SCHEMA)}")
        except PermanentFailure as error:
            raise UsageError(
                f"the throw-away server has no amcheck: {error.message}", hint="install postgresql-contrib"
            ) from error
        found = session.fetch("backup/find_amcheck")
    return found[0]["schema"]


def run_queries(restored: Postgres, facts: DatabaseFacts, queries: Sequence[str]) -> dict[str, Any]:
    """Run the operator's statements, each of which must give a row.

    Raises:
        Unproven: one gives none, or fails.
    """
    own = dict(setting.split("=", 1) for role, setting in facts.settings if role is None)
    address = replace(restored, read_only=True, statement_timeout_seconds=QUERY_SECONDS)
    failed: list[str] = []
    for number, statement in enumerate(queries, start=1):
        with address.session() as session:
            session.execute(
                "select set_config('search_path', %(path)s, false)",
                {"path": own.get("search_path", USUAL_SEARCH_PATH)},
            )
            try:
                if not session.execute(statement):
                    failed.append(f"query {number} gives no row")
            except (PermanentFailure, StatementTimeout) as error:
                failed.append(f"query {number} fails: {error.message}")
    if failed:
        raise Unproven(
            "; ".join(failed[:MOST_NAMED]), {"queries": len(queries), "queries_failed": len(failed)}
        )
    return {"queries": len(queries)}
