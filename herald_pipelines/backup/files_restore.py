"""Restores trees of files: extracted and checked beside their places, then put into place at once, and undone if need be.

A kill at any moment leaves each tree as it was or as it becomes; the next restore, or `recover_restores`, finishes what was
being put into place and removes what was only extracted. Not here: what is asked before (files_plan.py), how names are
moved (files_swap.py).
"""

import os
import secrets
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from herald_pipelines.backup.extract import Place, extract
from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.files_archive import reading_files
from herald_pipelines.backup.files_journal import (
    Base,
    Journal,
    JournalFolder,
    Phase,
    find_journal,
    find_journals,
    new_journal,
    restoring,
)
from herald_pipelines.backup.files_plan import FilesPlan, TreePlan
from herald_pipelines.backup.files_swap import find_obstacle, open_bases, swap_back, swap_in
from herald_pipelines.backup.files_units import kept_name, list_units, make_bases
from herald_pipelines.backup.listing import Entry
from herald_pipelines.backup.names import read_name, show_name
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import GuardRefusal, PermanentFailure, UsageError
from herald_pipelines.resources.descent import open_below, remove_tree
from herald_pipelines.resources.renaming import sync_file_system
from herald_pipelines.settings.files import explain
from herald_pipelines.values import Say, format_bytes

MOST_AT_ONCE = 60
"""Restores that may begin at one time, as those of a whole recovery do."""


def restore_files(
    repository: Repository,
    plan: FilesPlan,
    *,
    now: datetime,
    say: Say,
    before_swap: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Do what a plan says, and return what was done: see `describe`.

    Args:
        repository: where from; its work folder keeps the journal.
        plan: of `plan_restore_files`.
        now: when it begins; in the names of what is kept.
        say: told of the progress.
        before_swap: called when all is extracted and checked: stops what uses the files.

    Raises:
        Damaged: the backup is not what was written; nothing was changed.
        UsageError: another restore of files is running.
        PermanentFailure: a file cannot be made or moved; what was moved already is put back.
        HeraldError: of the kind that fits what the store or gpg said; nothing was changed.
    """
    with _telling("files cannot be restored"), restoring(repository.work_folder):
        _recover(repository.work_folder, say)
        at, bases = _find_moment(plan, now)
        journal = Journal(
            id=f"{at}-{secrets.token_hex(3)}",
            backup=plan.manifest.id,
            kind=plan.manifest.kind,
            phase=Phase.STAGING,
            at=at,
            bases=bases,
            trees=tuple((show_name(tree.target), _kept(plan, tree, at)) for tree in plan.trees),
            files=plan.files,
            bytes=plan.bytes,
        )
        folder = new_journal(repository.work_folder, journal)
        restore = _Restore(folder, journal)
        try:
            restore.stage(repository, plan, say)
            say(f"all is extracted and checked: {plan.files} files, {format_bytes(plan.bytes)}")
            before_swap()
        except BaseException:
            restore.give_up()
            raise
        restore.put_in_place()
        restore.clean(say)
        say(f"restored; `undo` of {journal.id} puts back what was there before")
        return describe(restore.journal)


def undo_restore_files(
    repository: Repository, restore_id: str | None, *, say: Say, kind: Kind | None = None
) -> dict[str, Any]:
    """Put back what a restore replaced, and return what became of it; what it restored is kept beside it.

    Args:
        repository: whose work folder has the journal.
        restore_id: None: the newest that is done.
        say: told of the progress.
        kind: without an id: the newest of this kind alone.

    Raises:
        UsageError: there is no such restore, or another is running.
        GuardRefusal: it was undone already, or what it kept is gone, or its tree was replaced since.
        PermanentFailure: a file cannot be moved; undoing again goes on from there.
    """
    with _telling("the restore cannot be undone"), restoring(repository.work_folder):
        _recover(repository.work_folder, say)
        folder = find_journal(repository.work_folder, restore_id, kind)
        restore = _Restore(folder, folder.read())
        if restore.journal.phase not in (Phase.DONE, Phase.SWAPPED):
            raise GuardRefusal(f"restore {restore.journal.id} is {restore.journal.phase} already")
        restore.begin_undoing()
        say(f"undone: what {restore.journal.id} had restored is kept as .undone-{restore.journal.at}")
        return describe(restore.journal)


def recover_restores(repository: Repository, *, say: Say) -> list[dict[str, Any]]:
    """Finish or take back what a killed restore left, and return all that are known here, oldest first.

    Raises:
        UsageError: a restore is running.
        PermanentFailure: something cannot be moved.
    """
    with _telling("a restore cannot be finished"), restoring(repository.work_folder):
        _recover(repository.work_folder, say)
        return [describe(folder.read()) for folder in find_journals(repository.work_folder)]


def describe(journal: Journal) -> dict[str, Any]:
    """Return a restore for machines; names as `names.show_name` writes them."""
    return {
        "restore": journal.id,
        "backup": journal.backup,
        "phase": (Phase.DONE if journal.phase is Phase.SWAPPED else journal.phase).value,
        "trees": [{"path": path, "kept": kept} for path, kept in journal.trees],
        "files": journal.files,
        "bytes": journal.bytes,
    }


@dataclass
class _Restore:
    """One restore and how far it is."""

    folder: JournalFolder
    journal: Journal

    def stage(self, repository: Repository, plan: FilesPlan, say: Say) -> None:
        """Extract all beside its place, check it, and have it on the disk with the list of what is to be moved."""
        for base in self.journal.bases:
            Path(read_name(base.path)).mkdir(parents=True, exist_ok=True)
        with open_bases(self.journal.bases) as handles, ExitStack() as stack:
            stagings = dict[str, int]()
            for base, handle in zip(self.journal.bases, handles, strict=True):
                os.mkdir(base.staging, 0o700, dir_fd=handle)
                stagings[read_name(base.path)] = stack.enter_context(open_below(handle, [base.staging]))
            places = {
                tree.root: Place(stagings[tree.base], str(number)) for number, tree in enumerate(plan.trees)
            }

            def is_wanted(entry: Entry) -> bool:
                path = entry.real_path
                return plan.is_wanted(path) or path in plan.sources

            with reading_files(repository, plan.manifest) as members:
                extract(members, places, is_wanted, say=say)
            self.folder.write_units(list_units(plan, self.journal.bases, handles, self.journal.at))
            for handle in handles:
                sync_file_system(handle)

    def put_in_place(self) -> None:
        """Move all into place, and back when that fails."""
        try:
            self._enter(Phase.SWAPPING)
        except BaseException:
            self.give_up()
            raise
        try:
            self.finish()
        except BaseException:
            self.take_back()
            raise

    def finish(self) -> None:
        """Move into place what is not there yet."""
        with open_bases(self.journal.bases) as handles:
            swap_in(self.folder.units(), handles)
            self._sync(handles)
        self._enter(Phase.SWAPPED)

    def clean(self, say: Say) -> None:
        """Remove what was only for the extraction; what cannot be removed now is tried again by the next restore."""
        try:
            self._remove_staging()
            self._enter(Phase.DONE)
        except OSError as error:
            say(f"all is in place; what it was extracted into could not be removed: {explain(error)}")

    def take_back(self) -> None:
        """Put everything back as it was, and forget the restore."""
        self._enter(Phase.RETURNING)
        with open_bases(self.journal.bases) as handles:
            # What came into place goes back to where it was extracted.
            units = (unit.model_copy(update={"undone": unit.staged}) for unit in self.folder.units())
            swap_back(units, handles)
            self._sync(handles)
            self._prune(handles)
        self.give_up()

    def give_up(self) -> None:
        """Remove what was extracted, and forget the restore."""
        self._remove_staging()
        self.folder.remove()

    def begin_undoing(self) -> None:
        """Put back what was there before, unless that cannot be."""
        with open_bases(self.journal.bases) as handles:
            obstacle = find_obstacle(self.folder.units(), handles)
        if obstacle is not None:
            raise GuardRefusal(f"restore {self.journal.id} cannot be undone: {obstacle}")
        self._enter(Phase.UNDOING)
        self.finish_undoing()

    def finish_undoing(self) -> None:
        """Put back what is not back yet."""
        with open_bases(self.journal.bases) as handles:
            swap_back(self.folder.units(), handles)
            self._sync(handles)
            self._prune(handles)
        self._enter(Phase.UNDONE)

    def _enter(self, phase: Phase) -> None:
        self.journal = self.folder.write(self.journal.model_copy(update={"phase": phase}))

    def _remove_staging(self) -> None:
        for base in self.journal.bases:
            try:
                with open_bases([base]) as (handle,):
                    remove_tree(handle, base.staging)
            except FileNotFoundError:
                continue

    def _prune(self, handles: list[int]) -> None:
        for base, handle in zip(self.journal.bases, handles, strict=True):
            remove_tree(handle, base.kept, only_empty=True)

    @staticmethod
    def _sync(handles: list[int]) -> None:
        for handle in handles:
            sync_file_system(handle)


def _recover(work_folder: Path, say: Say) -> None:
    for folder in find_journals(work_folder):
        restore = _Restore(folder, folder.read())
        name = restore.journal.id
        match restore.journal.phase:
            case Phase.STAGING:
                restore.give_up()
                say(
                    f"restore {name} was interrupted before it changed anything: what it extracted is removed"
                )
            case Phase.SWAPPING:
                _finish_or_take_back(restore)
                restore.clean(say)
                say(f"restore {name} was interrupted while it was put into place: it is finished now")
            case Phase.SWAPPED:
                restore.clean(say)
            case Phase.RETURNING:
                restore.take_back()
                say(f"restore {name} was interrupted while it was taken back: it is taken back now")
            case Phase.UNDOING:
                restore.finish_undoing()
                say(f"the undoing of restore {name} was interrupted: it is finished now")
            case Phase.DONE | Phase.UNDONE:
                pass


def _finish_or_take_back(restore: _Restore) -> None:
    try:
        restore.finish()
    except Exception:
        restore.take_back()
        raise


def _kept(plan: FilesPlan, tree: TreePlan, at: str) -> str | None:
    """Return where what is there now will be, shown; None: nothing is there."""
    if plan.only or (tree.is_there and not Path(tree.target).is_dir() and tree.type != "folder"):
        return show_name(f"{tree.base.rstrip('/')}/.herald-before-{at}/{tree.name}")
    return (
        show_name(f"{tree.base.rstrip('/')}/{kept_name(tree.name, 'before', at)}") if tree.is_there else None
    )


def _find_moment(plan: FilesPlan, now: datetime) -> tuple[str, tuple[Base, ...]]:
    """Return the time for the names that are kept, a little later where those of `now` are taken, and the bases."""
    for seconds in range(MOST_AT_ONCE):
        at = f"{now + timedelta(seconds=seconds):%Y%m%dT%H%M%SZ}"
        bases = make_bases(plan, at)
        names = [
            f"{read_name(base.path)}/{name}"
            for base in bases
            for name in (base.staging, base.kept, base.undone)
        ]
        names += [
            f"{tree.base}/{kept_name(tree.name, word, at)}"
            for tree in plan.trees
            for word in ("before", "undone")
        ]
        if not any(os.path.lexists(name) for name in names):
            return at, bases
    raise UsageError("too many restores were made within a minute", hint="restore again in a minute")


@contextmanager
def _telling(what: str) -> Generator[None]:
    """Tell an OSError in a person's words."""
    try:
        yield
    except OSError as error:
        name = f" {show_name(os.fsdecode(error.filename))}" if isinstance(error.filename, str | bytes) else ""
        raise PermanentFailure(f"{what}:{name} {explain(error)}") from error
