"""Restores a backup of a database: into a new database first, always, which gets the name only when all of it is right.

    plan -> lock of the name -> new database -> filled and compared (restore_fill.py) -> swap (restore_swap.py)

Whatever ends it before the swap, the database that has the name is as it was, and the next call removes what is left. A part
of a backup (some schemas or tables) goes to a database of its own and is never swapped for another. Not here: which backup,
printing the plan, what services do meanwhile.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_facts import maintenance_session
from herald_pipelines.backup.restore_fill import Filled, Source, fill_database
from herald_pipelines.backup.restore_journal import (
    Entry,
    Step,
    new_restore_id,
    read_entry,
    write_entry,
)
from herald_pipelines.backup.restore_names import (
    Mark,
    Stage,
    check_database_name,
    stage_name,
)
from herald_pipelines.backup.restore_plan import RestorePlan
from herald_pipelines.backup.restore_prepare import EVERYTHING, Wish, prepare
from herald_pipelines.backup.restore_recovery import list_before_marks, settle_journals, working
from herald_pipelines.backup.restore_refusals import Selection
from herald_pipelines.backup.restore_statements import (
    create_database,
    finish_statements,
)
from herald_pipelines.backup.restore_swap import (
    Marked,
    set_mark,
    swap,
)
from herald_pipelines.errors import unknown_value
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.values import Say


@dataclass(frozen=True)
class RestoreReport:
    """What a restore did."""

    restore: str
    """Its id."""
    backup: str
    name: str
    """Of the restored database."""
    kept_as: str | None
    """What the one before is called now."""
    new_roles: tuple[str, ...]
    tables: int
    estimated_rows: int
    seconds: Mapping[str, float]
    """Of each step."""
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "restore": self.restore,
            "backup": self.backup,
            "database": self.name,
            "kept_as": self.kept_as,
            "new_roles": list(self.new_roles),
            "tables": self.tables,
            "estimated_rows": self.estimated_rows,
            "seconds": dict(self.seconds),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Kept:
    """A database that a restore has put aside: what can be taken back."""

    database: str
    name: str
    """What it was called."""
    restore: str
    backup: str
    """What has its name since."""
    at: datetime

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "database": self.database,
            "name": self.name,
            "restore": self.restore,
            "backup": self.backup,
            "at": self.at.isoformat(),
        }


def plan_restore(
    repository: Repository,
    backup: Backup,
    target: Postgres,
    *,
    name: str,
    programs: Mapping[int, Path],
    now: datetime,
    selection: Selection = EVERYTHING,
    expected_seconds: float | None = None,
) -> RestorePlan:
    """Say what a restore would do and what stands against it. Changes nothing.

    Args:
        repository: where the backup is.
        backup: which.
        target: address of the capability `restore`; the database in it need not exist.
        name: of the database that is restored.
        programs: folders of PostgreSQL's programs by major version, of the settings.
        now: for the name that the present database would be kept under.
        selection: a part of it.
        expected_seconds: what the last drill or proof took.

    Raises:
        UsageError: the name cannot be a database's.
        HeraldError: the server or the store could not be asked.
    """
    check_database_name(name)
    with maintenance_session(target, name) as session:
        wish = Wish(name, programs, now, selection, expected_seconds)
        plan, _ = prepare(repository, backup, target, session, wish)
    return plan


def restore_database(
    repository: Repository,
    backup: Backup,
    target: Postgres,
    *,
    name: str,
    programs: Mapping[int, Path],
    now: datetime,
    say: Say,
    selection: Selection = EVERYTHING,
    restore_id: str | None = None,
    before_swap: Callable[[], None] = lambda: None,
) -> RestoreReport:
    """Restore a backup, and give it the name. What has the name now is kept as `<name>_before_<time>`.

    Args:
        repository: where the backup is.
        backup: which.
        target: address of the capability `restore`; the database in it need not exist.
        name: of the database that is restored.
        programs: folders of PostgreSQL's programs by major version, of the settings.
        now: when it begins.
        say: told of each step.
        selection: a part of it; then nothing may have the name yet.
        restore_id: of `new_restore_id`, for a caller that may be killed and calls again: what is done is not done twice.
        before_swap: called when all is ready but the name: to stop what uses the database. What it raises ends the restore.

    Raises:
        UsageError: the name cannot be a database's.
        GuardRefusal: the plan refuses it, another restore of that name is running, or somebody is in the way of the swap.
        HeraldError: of the kind that fits. The database that has the name is as it was.
    """
    check_database_name(name)
    with working(repository, target, name, say) as session:
        done = read_entry(repository, restore_id) if restore_id is not None else None
        if done is not None and done.step is Step.DONE and done.name == name:
            return _report_done(done)
        plan, source = prepare(repository, backup, target, session, Wish(name, programs, now, selection))
        plan.require()
        assert source is not None  # noqa: S101 - a plan that does not refuse has one
        entry = Entry(
            id=restore_id or new_restore_id(),
            name=name,
            backup=backup.manifest.id,
            system_identifier=source.server.system_identifier,
            database="",
            step=Step.CREATING,
            started_at=now,
            host=repository.host,
            pid=os.getpid(),
        )
        taken = source.server.databases
        entry = entry.model_copy(update={"database": stage_name(name, Stage.RESTORING, entry.id, taken)})
        write_entry(repository, entry)
        incoming = _create(session, source, entry, now)
        write_entry(repository, entry.model_copy(update={"oid": incoming.oid, "step": Step.FILLING}))
        filled = fill_database(session, source, incoming.name, incoming.oid, say)
        before_swap()
        finish = () if selection else finish_statements(name, source.facts)
        swapped = swap(session, incoming, Stage.BEFORE, now=now, say=say, finish=finish)
        settle_journals(repository, session, name)
        return _report(entry, plan, filled, swapped.kept_as)


def list_before(target: Postgres, name: str) -> tuple[Kept, ...]:
    """Return what restores of a database have put aside, the newest first.

    Raises:
        HeraldError: the server could not be asked.
    """
    with maintenance_session(target, name) as session:
        return tuple(_kept(each) for each in list_before_marks(session, name))


def undo_restore(
    repository: Repository,
    target: Postgres,
    *,
    name: str,
    now: datetime,
    say: Say,
    kept_as: str | None = None,
) -> dict[str, Any]:
    """Give the name back to the database that had it before a restore; the restored one is kept as `<name>_undone_<time>`.

    Args:
        repository: for the journal; its store is not asked.
        target: address of the capability `restore`.
        name: of the database.
        now: for the name of the restored one.
        say: told of what happens.
        kept_as: which one of `list_before`; the newest when left out.

    Raises:
        UsageError: there is none.
        GuardRefusal: somebody is in the way of the swap; both are as they were.
        HeraldError: of the kind that fits; both are as they were.
    """
    with working(repository, target, name, say) as session:
        found = [each for each in list_before_marks(session, name) if kept_as in (None, each.name)]
        if not found:
            known = [each.name for each in list_before_marks(session, name)]
            raise unknown_value(
                "database before a restore", kept_as or name, known, hint="nothing was restored over it"
            )
        swapped = swap(session, found[0], Stage.UNDONE, now=now, say=say)
        return {
            "database": name,
            "was": found[0].name,
            "kept_as": swapped.kept_as,
            "backup": found[0].mark.backup,
        }


def _create(session: Session, source: Source, entry: Entry, now: datetime) -> Marked:
    """Make the new database with its mark."""
    facts = source.facts
    statement = create_database(entry.database, facts, source.server.major)
    session.execute(statement.sql, dict(statement.parameters))
    mark = Mark(
        restore=entry.id,
        name=entry.name,
        stage=Stage.RESTORING,
        backup=entry.backup,
        host=entry.host,
        at=now,
        comment=None if source.selection else facts.comment,
    )
    return set_mark(session, entry.database, mark)


def _kept(found: Marked) -> Kept:
    mark = found.mark
    return Kept(found.name, mark.name, mark.restore, mark.backup, mark.at)


def _report(entry: Entry, plan: RestorePlan, filled: Filled, kept_as: str | None) -> RestoreReport:
    return RestoreReport(
        restore=entry.id,
        backup=entry.backup,
        name=entry.name,
        kept_as=kept_as,
        new_roles=plan.new_roles,
        tables=filled.checked.tables,
        estimated_rows=filled.checked.estimated_rows,
        seconds=filled.seconds,
        notes=(*plan.notes, *filled.notes),
    )


def _report_done(entry: Entry) -> RestoreReport:
    return RestoreReport(
        restore=entry.id,
        backup=entry.backup,
        name=entry.name,
        kept_as=entry.kept_as,
        new_roles=(),
        tables=0,
        estimated_rows=0,
        seconds={},
        notes=("it was done already",),
    )
