"""Archives one partition: a dump of it alone, and the schema that its types and functions come from, sealed into the store.

Its rows are counted and hashed by the server in the snapshot that the dump shares. An archive is a backup of kind
`partition`: rekeying, sweeping and verifying know it. Not here: proving it (proving.py), whether to (plan.py).
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from herald_pipelines.backup.database import (
    ARCHIVE_SUFFIX,
    END_SECONDS,
    LOCK_WAIT_SECONDS,
    STALL_SECONDS,
    TEXT_FORMS,
    Origin,
    describe_encryption,
    read_database_facts,
    sharing_snapshot,
)
from herald_pipelines.backup.facts import (
    DUMP,
    Kind,
    Manifest,
    Part,
    PartitionFacts,
    TableFacts,
    backup_prefix,
    new_backup_id,
)
from herald_pipelines.backup.lease import Making, making
from herald_pipelines.backup.progress import Progress
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.partitions.content import read_columns, read_content
from herald_pipelines.resources.clients import ClientPrograms, find_clients
from herald_pipelines.resources.pipes import piping
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.values import DatabaseIdentity, Say, quote_identifier, utc_now

SCHEMA = "schema"
"""The part with all definitions of the database."""


@dataclass(frozen=True)
class Unit:
    """What is archived: a partition with all below it, or a table that was one."""

    oid: int
    attached_name: str
    """As it is or was called while it is or was attached."""
    parent_schema: str
    parent_name: str
    bound: str
    size_bytes: int


def archive_partition(
    repository: Repository,
    target: Postgres,
    identity: DatabaseIdentity,
    programs: Mapping[int, Path],
    unit: Unit,
    *,
    origin: Origin,
    now: datetime,
    say: Say,
) -> Manifest:
    """Make an archive of a partition, and return its manifest once it is visible.

    Args:
        repository: where to.
        target: address of the capability `backup`.
        identity: the database that is meant.
        programs: folders of PostgreSQL's programs by major version, of the settings.
        unit: the partition.
        origin: for the manifest.
        now: when it begins.
        say: told of the progress.

    Raises:
        UsageError: no fitting programs, or the url leads to another database.
        PermanentFailure: it is gone, the role may not read all rows, pg_dump or gpg failed, or the lease was revoked.
        HeraldError: of the kind that fits.
    """
    clients = find_clients(identity.major, programs)
    archive_id = new_backup_id(identity.name, now, secrets.token_hex(3))
    prefix = backup_prefix(repository.platform, repository.host, Kind.PARTITION, identity.name, archive_id)
    with sharing_snapshot(target, identity) as (session, snapshot):
        facts, tables = read_unit(session, unit)
        whole = read_database_facts(session, clients)
        with making(repository, prefix, archive_id, run_id=origin.run_id, now=now) as work:
            name = f"{facts.schema_name}.{facts.name}"
            progress = Progress(f"archiving {name}", unit.size_bytes, say)
            started = time.monotonic()
            schema = _seal(work, SCHEMA, target, clients, snapshot, ("--schema-only",), progress)
            options = [
                "--strict-names",
                *(f"--table={quote_identifier(each.schema_name, each.name)}" for each in tables),
            ]
            dump = _seal(work, DUMP, target, clients, snapshot, options, progress)
            progress.end(dump.clear_bytes, dump.stored_bytes, time.monotonic() - started)
            manifest = Manifest(
                id=archive_id,
                kind=Kind.PARTITION,
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
                parts=(schema, dump),
                database=whole.model_copy(update={"tables": tables}),
                partition=facts,
            )
            work.publish(manifest)
    return manifest


def _seal(
    work: Making,
    name: str,
    target: Postgres,
    clients: ClientPrograms,
    snapshot: str,
    options: Sequence[str],
    progress: Progress,
) -> Part:
    """Put what pg_dump writes into a part, once pg_dump has ended well."""
    argv = [
        clients.pg_dump,
        "--format=custom",
        "--compress=0",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_WAIT_SECONDS}s",
        "--no-password",
        *options,
    ]
    with piping(argv, env=target.client_environment(options=TEXT_FORMS), stall_seconds=STALL_SECONDS) as dump:

        def require_success() -> None:
            dump.finish(timeout_seconds=END_SECONDS)

        return work.seal_part(name, name + ARCHIVE_SUFFIX, dump.chunks(), progress.update, require_success)


def read_unit(session: Session, unit: Unit) -> tuple[PartitionFacts, tuple[TableFacts, ...]]:
    """Read what a partition is and holds, and the tables that it consists of, itself first.

    Args:
        session: whose snapshot is meant; it may read all rows.
        unit: the partition.

    Raises:
        PermanentFailure: it is gone.
        HeraldError: of the kind that fits what the server said.
    """
    rows = session.fetch("partitions/list_tree", oid=unit.oid)
    if not rows:
        raise PermanentFailure(f"{unit.attached_name} is gone")
    columns = read_columns(session, unit.oid)
    own = rows[0]
    table = quote_identifier(own["schema"], own["name"])
    content = read_content(session, table, [name for name, _ in columns], is_local=True)
    facts = PartitionFacts(
        schema_name=own["schema"],
        name=own["name"],
        attached_name=unit.attached_name.removeprefix(own["schema"] + "."),
        oid=unit.oid,
        parent_schema=unit.parent_schema,
        parent_name=unit.parent_name,
        bound=unit.bound,
        columns=columns,
        indexes=tuple(row["name"] for row in session.fetch("partitions/list_own_indexes", oid=unit.oid)),
        rows=content.rows,
        digest=content.digest,
    )
    tables = tuple(
        TableFacts(
            schema_name=row["schema"],
            name=row["name"],
            kind=row["kind"],
            is_unlogged=row["is_unlogged"],
            estimated_rows=row["estimated_rows"],
            size_bytes=row["size_bytes"],
        )
        for row in rows
    )
    return facts, tables
