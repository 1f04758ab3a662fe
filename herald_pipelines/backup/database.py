"""Backs up one database: a snapshot, what a dump leaves out, and pg_dump streamed through the seal into the store.

The dump is in custom format and uncompressed, because zstd and encryption follow; restoring can then select and go in
parallel. Of a large database several programs dump at once, each a part of its own, from the same snapshot. Not here: the
seal (sealing.py), what makes it visible (lease.py), who dumps which tables (sharing.py).
"""

import json
import os
import secrets
import time
from collections.abc import Generator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from herald_pipelines.backup.facts import (
    DUMP,
    ROWS,
    DatabaseFacts,
    Encryption,
    Kind,
    Manifest,
    Part,
    TableFacts,
    backup_prefix,
    new_backup_id,
)
from herald_pipelines.backup.keys import BackupKey
from herald_pipelines.backup.lease import Making, making
from herald_pipelines.backup.progress import Progress, SharedProgress
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.sharing import choose_streams, share_tables, table_pattern
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.clients import ClientPrograms, find_clients
from herald_pipelines.resources.gpg import Recipients
from herald_pipelines.resources.pipes import Pipe, piping
from herald_pipelines.resources.postgres import Postgres, Session, read_identity
from herald_pipelines.values import DatabaseIdentity, Say, quote_identifier, utc_now

GLOBALS, GLOBALS_OBJECT = "globals", "globals.json.zst.gpg"
ARCHIVE_SUFFIX = ".pgdump.zst.gpg"
STALL_SECONDS = 900.0
"""How long pg_dump may give nothing: it reads the whole catalog first, and may wait for a lock."""
LOCK_WAIT_SECONDS = 300
"""How long it may wait for the locks of tables that somebody changes."""
END_SECONDS = 60.0
# How sessions write values, whatever the database says, so that the same rows give the same bytes when they are compared.
TEXT_FORMS = {"timezone": "UTC", "bytea_output": "hex"}


@dataclass(frozen=True)
class Origin:
    """Who makes a backup, for its manifest."""

    window: str | None
    run_id: str | None
    versions: Mapping[str, str]
    settings_sha256: str


def back_up_database(
    repository: Repository,
    target: Postgres,
    identity: DatabaseIdentity,
    programs: Mapping[int, Path],
    *,
    origin: Origin,
    now: datetime,
    say: Say,
    streams: int | None = None,
) -> Manifest:
    """Make a backup of a database, and return its manifest once it is visible.

    Args:
        repository: where to.
        target: address of the capability `backup`; a standby will do.
        identity: the database that is meant.
        programs: folders of PostgreSQL's programs by major version, of the settings.
        origin: for the manifest.
        now: when it begins.
        say: told of the progress.
        streams: how many programs dump at once; None: by the size of the database and the processors.

    Raises:
        UsageError: no fitting programs, or the url leads to another database.
        PermanentFailure: the role may not read all rows, pg_dump or gpg failed, or the lease was revoked.
        HeraldError: of the kind that fits.
    """
    clients = find_clients(identity.major, programs)
    backup_id = new_backup_id(identity.name, now, secrets.token_hex(3))
    prefix = backup_prefix(repository.platform, repository.host, Kind.DATABASE, identity.name, backup_id)
    with (
        sharing_snapshot(target, identity) as (session, snapshot),
        making(repository, prefix, backup_id, run_id=origin.run_id, now=now) as work,
    ):
        facts = read_database_facts(session, clients)
        progress = Progress(f"backing up {identity.name}", facts.size_bytes, say)
        globals_part = _seal_globals(work, session)
        shares = share_tables(facts.tables, _streams(facts, streams))
        archives = _seal_archives(work, _dumps(clients, snapshot, shares), target, progress)
        manifest = Manifest(
            id=backup_id,
            kind=Kind.DATABASE,
            name=identity.name,
            platform=repository.platform,
            host=repository.host,
            started_at=now,
            finished_at=utc_now(),
            window=origin.window,
            run_id=origin.run_id,
            versions={**origin.versions, "pg_dump": clients.version},
            settings_sha256=origin.settings_sha256,
            encryption=describe_encryption(work.key),
            parts=(globals_part, *archives),
            database=facts,
        )
        work.publish(manifest)
    return manifest


def plan_database(
    repository: Repository,
    target: Postgres,
    identity: DatabaseIdentity,
    programs: Mapping[int, Path],
    *,
    streams: int | None = None,
) -> dict[str, Any]:
    """Return what a backup would be of, after all that would refuse it has been asked.

    Raises:
        As `back_up_database` before it writes anything.
    """
    clients = find_clients(identity.major, programs)
    with sharing_snapshot(target, identity) as (session, _):
        facts = read_database_facts(session, clients)
    return {
        "store": repository.store.url,
        "key": repository.ring.current.fingerprint,
        "database": facts.datname,
        "size_bytes": facts.size_bytes,
        "tables": len(facts.tables),
        "streams": 1 + len(share_tables(facts.tables, _streams(facts, streams))),
        "pg_dump": str(clients.pg_dump),
        "pg_dump_version": clients.version,
    }


def describe_encryption(key: BackupKey) -> Encryption:
    """Return how a key encrypts, for a manifest."""
    recipients = key.secret.fingerprints if isinstance(key.secret, Recipients) else ()
    return Encryption(key=key.fingerprint, recipients=recipients)


def read_database_facts(session: Session, clients: ClientPrograms) -> DatabaseFacts:
    """Read what a dump leaves out of its database.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    row = session.fetch_one("backup/read_database")
    return DatabaseFacts(
        **{name: value for name, value in row.items() if name != "acl"},
        acl=None if row["acl"] is None else tuple(row["acl"]),
        system_identifier=read_identity(session, standby=True).system_identifier,
        server_version=session.connection.server_version,
        client_version=clients.version,
        settings=tuple(
            (each["role"], each["setting"]) for each in session.fetch("backup/list_database_settings")
        ),
        extensions=tuple((each["name"], each["version"]) for each in session.fetch("backup/list_extensions")),
        roles=tuple(each["name"] for each in session.fetch("backup/list_roles")),
        tables=tuple(TableFacts(**each) for each in session.fetch("backup/list_tables")),
    )


@contextmanager
def sharing_snapshot(target: Postgres, identity: DatabaseIdentity) -> Generator[tuple[Session, str]]:
    """Give a session whose snapshot the dump shares, so that manifest and dump speak of one moment."""
    with target.session() as session:
        found = read_identity(session, standby=True)
        if (found.system_identifier, found.datname) != (identity.system_identifier, identity.datname):
            raise UsageError(
                f"the backup url of {target.database} leads to another database than its observe url",
                hint="both must lead to the same cluster",
            )
        session.execute("rollback")
        session.execute("begin isolation level repeatable read read only")
        session.execute("set local idle_in_transaction_session_timeout = 0")
        session.execute("set local statement_timeout = 0")
        require_sight(session)
        yield session, session.execute("select pg_export_snapshot() as snapshot")[0]["snapshot"]


def require_sight(session: Session) -> None:
    """Refuse a role that does not see all rows: pg_dump would fail late, after hours maybe.

    Raises:
        PermanentFailure: it lacks pg_read_all_data, and is no superuser.
    """
    row = session.fetch_one("backup/find_sight")
    if not row["reads_all"]:
        role = quote_identifier(row["role"])
        raise PermanentFailure(
            f"role {role} may not read all tables of {session.database}",
            hint=f"grant pg_read_all_data to {role} (`herald roles backup` prints all it needs)",
        )


def _seal_globals(work: Making, session: Session) -> Part:
    sees_passwords = session.fetch_one("backup/find_sight")["sees_passwords"]
    roles = session.fetch("backup/list_roles_with_passwords" if sees_passwords else "backup/list_roles")
    content = {
        "roles": roles,
        "has_passwords": sees_passwords,
        "memberships": session.fetch("backup/list_memberships"),
        "settings": session.fetch("backup/list_role_settings"),
        "tablespaces": session.fetch("backup/list_tablespaces"),
    }
    text = json.dumps(content, default=str, indent=1).encode()

    def source() -> Generator[bytes]:
        yield text

    return work.seal_part(GLOBALS, GLOBALS_OBJECT, source(), lambda _clear, _stored: None, lambda: None)


def _streams(facts: DatabaseFacts, wanted: int | None) -> int:
    return choose_streams(facts.size_bytes, len(os.sched_getaffinity(0)), wanted)


def _dumps(
    clients: ClientPrograms, snapshot: str, shares: tuple[tuple[TableFacts, ...], ...]
) -> dict[str, list[str | Path]]:
    """Return what dumps, by the name of the part: the first all but the rows that the others take."""
    common: list[str | Path] = [
        clients.pg_dump,
        "--format=custom",
        "--compress=0",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_WAIT_SECONDS}s",
        "--no-password",
    ]
    handed = [table_pattern(table) for share in shares for table in share]
    found = {DUMP: [*common, *(f"--exclude-table-data={each}" for each in handed)]}
    for number, share in enumerate(shares, start=2):
        tables = [f"--table={table_pattern(table)}" for table in share]
        found[f"{ROWS}{number}"] = [*common, "--data-only", "--strict-names", *tables]
    return found


def _seal_archives(
    work: Making, dumps: Mapping[str, list[str | Path]], target: Postgres, progress: Progress
) -> tuple[Part, ...]:
    """Run all dumps at once into the store. The first that fails ends the others."""
    started = time.monotonic()
    environ = target.client_environment(options=TEXT_FORMS)
    shared = SharedProgress(progress)
    with ExitStack() as stack, ThreadPoolExecutor(len(dumps)) as pool:
        pipes = {
            name: stack.enter_context(piping(argv, env=environ, stall_seconds=STALL_SECONDS))
            for name, argv in dumps.items()
        }

        def seal(name: str) -> Part:
            pipe = pipes[name]
            return work.seal_part(
                name,
                name + ARCHIVE_SUFFIX,
                pipe.chunks(),
                shared.of(name),
                lambda: _require_success(pipe),
            )

        sealing: list[Future[Part]] = [pool.submit(seal, name) for name in dumps]
        try:
            wait(sealing, return_when=FIRST_EXCEPTION)
            for each in sealing:
                if each.done():
                    each.result()
        except BaseException:
            # Those who still read come to the end of their stream, and find that it did not end well.
            for pipe in pipes.values():
                pipe.stop()
            raise
        parts = tuple(each.result() for each in sealing)
    clear, stored = sum(each.clear_bytes for each in parts), sum(each.stored_bytes for each in parts)
    progress.end(clear, stored, time.monotonic() - started)
    return parts


def _require_success(dump: Pipe) -> None:
    dump.finish(timeout_seconds=END_SECONDS)
