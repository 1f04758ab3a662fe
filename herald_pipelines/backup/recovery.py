"""Recovers a database, the application, the configuration or all of them: planned whole, then part by part, journalled.

    journal -> for each part: prepare beside -> stop the services -> swap in; start the services

Nothing is stopped before everything has been planned and the first part is ready. A recovery that was killed is gone on with
by `resume_recovery`: what is done is not done twice, and the services are started. Not here: restoring one part
(restore_database.py, files_restore.py), planning (recovery_plan.py).
"""

import fcntl
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Document, Kind
from herald_pipelines.backup.files_journal import Phase
from herald_pipelines.backup.files_plan import plan_restore_files
from herald_pipelines.backup.files_restore import recover_restores, restore_files, undo_restore_files
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.recovery_plan import Mode, Reach, RecoveryPlan, plan_undo, services_of
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_database import restore_database, undo_restore
from herald_pipelines.backup.restore_journal import new_restore_id
from herald_pipelines.backup.restore_refusals import Selection
from herald_pipelines.backup.selection import find_backup
from herald_pipelines.errors import GuardRefusal, PermanentFailure, UsageError
from herald_pipelines.resources.home import write_whole
from herald_pipelines.resources.services import PlatformService, start_services, stop_services
from herald_pipelines.settings import BackupSettings
from herald_pipelines.settings.backup import ServiceSettings
from herald_pipelines.values import Say

JOURNAL, LOCK = "recovery.json", "recovery.lock"


class PartState(Document):
    """One part of a recovery in its journal."""

    kind: Kind
    name: str
    backup: str
    datname: str | None = None
    restore_id: str
    is_beside: bool = False
    """Restored under a name that nobody uses: no service is stopped for it."""
    is_done: bool = False


class Journal(Document):
    """A recovery that was begun."""

    format: int = 1
    mode: Mode
    started_at: datetime
    schemas: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    only: tuple[str, ...] = ()
    parts: tuple[PartState, ...]
    stopped: tuple[str, ...] = ()
    """Services that are stopped, or were about to be."""


def recover(
    repository: Repository,
    plan: RecoveryPlan,
    reach: Reach,
    settings: BackupSettings,
    *,
    now: datetime,
    say: Say,
) -> dict[str, Any]:
    """Do what a plan says.

    Raises:
        GuardRefusal: the plan refuses it, or another recovery is running or was interrupted.
        HeraldError: a part failed: those before it are done, the services run again.
    """
    plan.require()
    with _locked(repository.work_folder):
        _require_none(repository.work_folder)
        journal = Journal(
            mode=plan.wish.mode,
            started_at=now,
            schemas=plan.wish.selection.schemas,
            tables=plan.wish.selection.tables,
            only=plan.wish.only,
            parts=tuple(
                PartState(
                    kind=part.kind,
                    name=part.name,
                    backup=part.backup.manifest.id,
                    datname=part.datname,
                    restore_id=new_restore_id(),
                    is_beside=part.is_beside,
                )
                for part in plan.parts
            ),
        )
        return _Recovery(repository, reach, settings, journal, now, say).run()


def resume_recovery(
    repository: Repository,
    reach: Reach,
    settings: BackupSettings,
    *,
    now: datetime,
    say: Say,
    discard: bool = False,
) -> dict[str, Any]:
    """Go on with an interrupted recovery; or discard it: start its services and forget it.

    Raises:
        UsageError: there is none.
        HeraldError: as `recover`.
    """
    with _locked(repository.work_folder):
        journal = _read_journal(repository.work_folder)
        if journal is None:
            raise UsageError("no recovery was interrupted on this host", hint="see `herald restore --help`")
        work = _Recovery(repository, reach, settings, journal, now, say)
        return work.discard() if discard else work.run()


def undo_recovery(
    repository: Repository,
    reach: Reach,
    settings: BackupSettings,
    mode: Mode,
    database: str | None,
    *,
    now: datetime,
    say: Say,
) -> dict[str, Any]:
    """Give a database, or a tree of files, back what the last restore of it had replaced, with its services stopped.

    Raises:
        UsageError: there is nothing to give back, or it is not said of what.
        GuardRefusal: somebody is in the way, or a recovery is running or was interrupted.
        HeraldError: of the kind that fits; services run again.
    """
    plan_undo(repository, reach, mode, database)
    kind = Kind(mode.value)

    def give_back() -> dict[str, Any]:
        if database is None:
            return undo_restore_files(repository, None, kind=kind, say=say)
        return undo_restore(
            repository, reach.target(database), name=reach.datname(database), now=now, say=say
        )

    with _locked(repository.work_folder):
        _require_none(repository.work_folder)
        journal = Journal(mode=mode, started_at=now, parts=())
        return _Recovery(repository, reach, settings, journal, now, say).undo(give_back, kind)


class _Recovery:
    """One recovery at work."""

    def __init__(
        self,
        repository: Repository,
        reach: Reach,
        settings: BackupSettings,
        journal: Journal,
        now: datetime,
        say: Say,
    ) -> None:
        self._repository, self._reach, self._now, self._say = repository, reach, now, say
        self._settings = settings
        self._journal = journal
        self._known = [service_of(each) for each in settings.services]
        self._services = [
            service_of(each)
            for each in services_of(settings, {part.kind for part in journal.parts if not part.is_beside})
        ]

    def run(self) -> dict[str, Any]:
        """Restore what is not restored yet; the services run again whatever happens."""
        self._write()
        results: list[dict[str, Any]] = []
        problems: tuple[str, ...] = ()
        try:
            self._repository.store.check()
            catalog = read_catalog(self._repository)
            for place, part in enumerate(self._journal.parts):
                if part.is_done:
                    results.append({"kind": part.kind.value, "name": part.name, "backup": part.backup})
                    continue
                backup = find_backup(catalog, part.backup)
                done = (
                    self._restore_database(backup, part)
                    if part.kind is Kind.DATABASE
                    else self._restore_files(backup, part)
                )
                results.append({"kind": part.kind.value, "name": part.name, "backup": part.backup, **done})
                self._mark_done(place)
        finally:
            problems = self._start()
        if problems:
            raise PermanentFailure(f"all is restored, but {'; '.join(problems)}", hint="start them by hand")
        _forget(self._repository.work_folder)
        return {"mode": self._journal.mode.value, "parts": results}

    def undo(self, give_back: Callable[[], dict[str, Any]], kind: Kind) -> dict[str, Any]:
        """Stop the services for an undoing; a killed one is not gone on with, but its services are started."""
        self._services = [service_of(each) for each in services_of(self._settings, {kind})]
        self._write()
        try:
            self._stop()
            return give_back()
        finally:
            if not self._start():
                _forget(self._repository.work_folder)

    def discard(self) -> dict[str, Any]:
        """Start the services and forget the rest: what was swapped in stays, what was not is removed by the next restore."""
        problems = self._start()
        if problems:
            raise PermanentFailure("; ".join(problems), hint="start them by hand, and discard again")
        _forget(self._repository.work_folder)
        done = [part for part in self._journal.parts if part.is_done]
        return {
            "mode": self._journal.mode.value,
            "parts": [{"kind": part.kind.value, "name": part.name, "backup": part.backup} for part in done],
        }

    def _restore_database(self, backup: Backup, part: PartState) -> dict[str, Any]:
        return restore_database(
            self._repository,
            backup,
            self._reach.target(part.name),
            name=part.datname or part.name,
            programs=self._reach.programs,
            now=self._now,
            say=self._say,
            selection=Selection(self._journal.schemas, self._journal.tables),
            restore_id=part.restore_id,
            before_swap=self._stop,
        ).document()

    def _restore_files(self, backup: Backup, part: PartState) -> dict[str, Any]:
        done = recover_restores(self._repository, say=self._say)
        since = f"{self._journal.started_at:%Y%m%dT%H%M%SZ}"
        for each in done:
            # Killed between the swap and our note of it.
            if (each["backup"], each["phase"]) == (part.backup, Phase.DONE.value) and each[
                "restore"
            ] >= since:
                return each
        plan = plan_restore_files(
            self._repository, backup, only=self._journal.only, own_folders=[self._reach.home]
        )
        return restore_files(self._repository, plan, now=self._now, say=self._say, before_swap=self._stop)

    def _stop(self) -> None:
        """Stop the services once; noted before, so that they are started after a kill."""
        if not self._services or self._journal.stopped:
            return
        self._journal = self._journal.model_copy(
            update={"stopped": tuple(each.name for each in self._services)}
        )
        self._write()
        stop_services(self._services, self._say)

    def _start(self) -> tuple[str, ...]:
        stopped = [each for each in self._known if each.name in self._journal.stopped]
        problems = start_services(stopped, self._say)
        for problem in problems:
            self._say(problem)  # what is raised may be about something else
        if not problems and stopped:
            self._journal = self._journal.model_copy(update={"stopped": ()})
            self._write()
        return problems

    def _mark_done(self, place: int) -> None:
        parts = list(self._journal.parts)
        parts[place] = parts[place].model_copy(update={"is_done": True})
        self._journal = self._journal.model_copy(update={"parts": tuple(parts)})
        self._write()

    def _write(self) -> None:
        write_whole(
            self._repository.work_folder / JOURNAL,
            self._journal.model_dump_json(indent=1),
            mode=0o600,
            durable=True,
        )


def service_of(settings: ServiceSettings) -> PlatformService:
    """Return a service with its commands."""
    return PlatformService(
        settings.name,
        settings.stop or ("systemctl", "stop", settings.name),
        settings.start or ("systemctl", "start", settings.name),
        settings.timeout_seconds,
    )


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GuardRefusal(
                "another recovery is running on this host", hint="wait for it to end"
            ) from None
        yield
    finally:
        os.close(handle)


def _read_journal(folder: Path) -> Journal | None:
    try:
        text = (folder / JOURNAL).read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return Journal.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        raise PermanentFailure(
            f"{folder / JOURNAL} is no journal of a recovery", hint="see what is in it, then move it away"
        ) from None


def _require_none(folder: Path) -> None:
    if _read_journal(folder) is not None:
        raise GuardRefusal(
            "a recovery was interrupted on this host",
            hint="`herald restore --resume` goes on with it, `--discard` starts its services and forgets it",
        )


def _forget(folder: Path) -> None:
    (folder / JOURNAL).unlink(missing_ok=True)
