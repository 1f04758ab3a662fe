"""Puts together what a restore needs: facts of the server, the small part of the backup, programs; and the plan of them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.parts import require_private_key
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_archive import archive_folder, read_globals
from herald_pipelines.backup.restore_facts import read_server_facts
from herald_pipelines.backup.restore_fill import Source
from herald_pipelines.backup.restore_plan import RestorePlan, plan_database_restore
from herald_pipelines.backup.restore_refusals import Refusal, Request, Selection
from herald_pipelines.backup.restore_statements import NO_GLOBALS
from herald_pipelines.errors import HeraldError, TransientFailure
from herald_pipelines.resources.clients import find_clients
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.settings.conninfo import parse_url

EVERYTHING = Selection()


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    name: str
    """Of the database in the end."""
    programs: Mapping[int, Path]
    """Folders of PostgreSQL's programs by major version, of the settings."""
    now: datetime
    selection: Selection = EVERYTHING
    expected_seconds: float | None = None


def prepare(
    repository: Repository, backup: Backup, target: Postgres, session: Session, wish: Wish
) -> tuple[RestorePlan, Source | None]:
    """Return the plan, and what it takes to do it where it does not refuse.

    Raises:
        TransientFailure: the store or the server could not be asked.
        HeraldError: of the kind that fits what the server said.
    """
    manifest = backup.manifest
    server = read_server_facts(session, wish.name)
    problems: list[Refusal] = []
    content, clients = NO_GLOBALS, None
    try:
        clients = find_clients(server.major, wish.programs)
        if not backup.missing and manifest.database is not None:
            require_private_key(repository, manifest)
            content = read_globals(repository, manifest)
    except TransientFailure:
        raise
    except HeraldError as error:
        problems.append(Refusal(error.message, error.hint or "see what it says"))
    shown = parse_url(target.url)
    request = Request(
        manifest=manifest,
        name=wish.name,
        selection=wish.selection,
        source=repository.store.url,
        server=f"{server.role} on {shown.get('host', 'the local socket')}:{shown.get('port', '5432')}",
        missing_parts=backup.missing,
        problems=tuple(problems),
        tablespaces=tuple(each["name"] for each in content.tablespaces),
        free_work_bytes=shutil.disk_usage(archive_folder(repository)).free,
        work_folder=str(repository.work_folder),
        expected_seconds=wish.expected_seconds,
    )
    plan = plan_database_restore(request, server, wish.now)
    if plan.refusals or clients is None or manifest.database is None:
        return plan, None
    return plan, Source(
        repository=repository,
        manifest=manifest,
        facts=manifest.database,
        content=content,
        clients=clients,
        target=target,
        server=server,
        new_roles=plan.new_roles,
        missing_tablespaces=plan.missing_tablespaces,
        selection=wish.selection,
    )
