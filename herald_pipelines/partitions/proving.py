"""Proves an archive: restores it from the store into a throw-away database and compares what is in it with what was archived.

It takes the way that bringing the partition back takes. Not here: the server (backup.scratch), making archives (archive.py).
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from herald_pipelines.backup.deep import OF_THE_SERVER, check_btrees
from herald_pipelines.backup.facts import DUMP, PartitionFacts, Proof, Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.proofs import Unproven, conclude
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_archive import (
    archive_folder,
    clear_archives,
    fast_settings,
    list_archive,
    path_of,
    restore_archive,
)
from herald_pipelines.backup.restore_listing import Entry, write_list
from herald_pipelines.backup.restore_statements import create_database
from herald_pipelines.backup.scratch import ScratchServer, scratch_server
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.partitions.archive import SCHEMA
from herald_pipelines.partitions.content import CONTENT_SECONDS, read_content
from herald_pipelines.partitions.facts import Content
from herald_pipelines.partitions.restoring import NOT_IN_SCRATCH, needed_entries, own_entries
from herald_pipelines.resources.clients import ClientPrograms
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Say, quote_identifier

DATABASE = "partition"
"""Name of the database in the throw-away server."""
PLAIN = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-security-labels", "--no-publications")
"""A throw-away server has neither roles nor tablespaces of the archived one."""


def prove_archive(
    repository: Repository, backup: Backup, programs: Mapping[int, Path], *, now: datetime, say: Say
) -> Proof:
    """Restore an archive into a server of its own, compare, and return the proof that is beside it now.

    Raises:
        UsageError: it is no archive of a partition, or programs or the private key are not here.
        GuardRefusal: there is no room.
        HeraldError: whatever else hinders a verdict.
    """
    facts = backup.manifest.database
    if facts is None or backup.manifest.partition is None:
        raise UsageError(f"{backup.manifest.id} is no archive of a partition")
    with scratch_server(facts.server_version // 10000, programs, repository.work_folder) as server:
        return prove_in(server, repository, backup, now=now, say=say)


def prove_in(
    server: ScratchServer, repository: Repository, backup: Backup, *, now: datetime, say: Say
) -> Proof:
    """Do the same in a server that is there already; nothing of it stays in the server.

    Raises:
        As `prove_archive`.
    """
    return conclude(
        repository,
        backup,
        Scope.RESTORED,
        lambda: _restore_and_compare(server, repository, backup, say),
        now=now,
    )


def _restore_and_compare(
    server: ScratchServer, repository: Repository, backup: Backup, say: Say
) -> dict[str, Any]:
    manifest, started = backup.manifest, time.monotonic()
    facts, partition = manifest.database, manifest.partition
    if facts is None or partition is None:
        raise UsageError(f"{manifest.id} is no archive of a partition")
    say(f"restoring {manifest.id} into a server of its own")
    maintenance, restored = server.address("postgres"), server.address(DATABASE)
    statement = create_database(DATABASE, facts, server.clients.major)
    with maintenance.session(autocommit=True) as session:
        session.execute(f"drop database if exists {quote_identifier(DATABASE)} with (force)")
        session.execute(statement.sql, dict(statement.parameters))
    try:
        with (
            clear_archives(repository, manifest, say, names=(SCHEMA, DUMP)) as (schema, dump),
        ):
            own = list_archive(server.clients, dump)
            listed = list_archive(server.clients, schema)
            try:
                _fill(
                    server.clients, repository, schema, restored, listed, needed_entries(listed, own, facts)
                )
            except CommandFailed as error:
                raise PermanentFailure(
                    f"what {manifest.id} needs cannot be made in a throw-away server: {error.message}",
                    hint="does it lack an extension?",
                ) from error
            ids = own_entries(own, partition, without=NOT_IN_SCRATCH)
            try:
                _fill(server.clients, repository, dump, restored, own, ids)
            except CommandFailed as error:
                if any(words in error.message for words in OF_THE_SERVER):
                    raise
                raise Unproven(f"it cannot be restored: {error.message}", {}) from error
        details = {"restore_seconds": round(time.monotonic() - started, 3)}
        return details | _compare(restored, partition) | check_btrees(restored)
    finally:
        with maintenance.session(autocommit=True) as session:
            session.execute(f"drop database if exists {quote_identifier(DATABASE)} with (force)")


def _fill(
    clients: ClientPrograms,
    repository: Repository,
    archive: Path,
    restored: Postgres,
    entries: Sequence[Entry],
    ids: frozenset[int],
) -> None:
    if ids:
        restore_listed(clients, repository, archive, restored, entries, ids, (*PLAIN, "--single-transaction"))


def restore_listed(
    clients: ClientPrograms,
    repository: Repository,
    archive: Path,
    target: Postgres,
    entries: Sequence[Entry],
    ids: frozenset[int],
    options: Sequence[str],
) -> None:
    """Have pg_restore make some entries of an archive, in the order of the archive.

    Raises:
        CommandFailed: it failed; the text ends with what it said.
    """
    with tempfile.TemporaryFile(dir=archive_folder(repository)) as listed:
        listed.write(write_list(tuple(entries), ids).encode())
        listed.flush()
        restore_archive(
            clients,
            archive,
            target,
            target.dbname,
            jobs=1,
            settings=fast_settings(1, is_local=False),
            options=[*options, f"--use-list={path_of(listed)}"],
            watch=lambda: None,
        )


def _compare(restored: Postgres, partition: PartitionFacts) -> dict[str, Any]:
    address = replace(restored, statement_timeout_seconds=CONTENT_SECONDS)
    table = quote_identifier(partition.schema_name, partition.name)
    with address.session() as session:
        found = read_content(session, table, [name for name, _ in partition.columns], is_local=True)
    details = {"rows": found.rows, "digest": found.digest}
    if found != Content(partition.rows, partition.digest):
        raise Unproven(
            f"what was restored differs from what was archived: {found.rows} rows of {partition.rows}",
            details,
        )
    return details
