"""The journal of a restore of files: how far it is and every name that it moves, on the disk before anything is moved.

    <work folder>/restores/<id>/journal.json    phase, backup, the folders in which names are moved
                               /units.jsonl     what is moved, a line each

So whoever comes after a kill knows what is to be finished or taken back. Not here: moving (files_swap.py).
"""

import fcntl
import json
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from herald_pipelines.backup.facts import Kind
from herald_pipelines.errors import PermanentFailure, UsageError, unknown_value
from herald_pipelines.settings.files import explain

FOLDER, JOURNAL, UNITS, LOCK = "restores", "journal.json", "units.jsonl", "restores.lock"


class Phase(StrEnum):
    """How far a restore is."""

    STAGING = "staging"
    """Files are extracted beside their places: nothing of what was there is touched."""
    SWAPPING = "swapping"
    """All is extracted and checked, and is being put into place: to be finished."""
    SWAPPED = "swapped"
    """All is in place; staging folders may be left."""
    RETURNING = "returning"
    """Putting into place failed and is being taken back."""
    DONE = "done"
    UNDOING = "undoing"
    """What was there before is being put back: to be finished."""
    UNDONE = "undone"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Base(_Frozen):
    """A folder in which names are moved; all others are below it. Names are as `names.show_name` writes them."""

    path: str
    staging: str
    """Name of the folder that is filled."""
    kept: str
    """Name of the folder for files that were replaced."""
    undone: str
    """Name of the folder for files that an undo takes away."""


class Unit(_Frozen):
    """One name that is moved. Paths are parts below the base, shown."""

    kind: Literal["tree", "file", "folder"]
    """tree: exchanged as a whole; file: replaced; folder: made because it is missing."""
    base: int
    """Which of the journal's bases."""
    target: tuple[str, ...]
    staged: tuple[str, ...]
    kept: tuple[str, ...]
    undone: tuple[str, ...]
    existed: bool
    device: int
    inode: int
    """With the device: which file is the new one, wherever it is now."""


class Journal(_Frozen):
    """How far a restore is."""

    format: Literal[1] = 1
    id: str
    backup: str
    kind: Kind
    phase: Phase
    at: str
    """When it began, as in the names that it keeps: 20261124T003005Z."""
    bases: tuple[Base, ...]
    trees: tuple[tuple[str, str | None], ...]
    """(where a tree went, where what was there is kept), shown."""
    files: int
    bytes: int


class JournalFolder:
    """The folder of one restore."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Journal:
        """Return how far it is.

        Raises:
            PermanentFailure: it cannot be read.
        """
        path = self.folder / JOURNAL
        try:
            return Journal.model_validate(json.loads(path.read_text("utf-8")))
        except OSError as error:
            raise PermanentFailure(f"{path} cannot be read: {explain(error)}") from error
        except (ValidationError, ValueError):
            raise PermanentFailure(f"{path} is no journal of a restore") from None

    def write(self, journal: Journal) -> Journal:
        """Have it on the disk, whole or as it was."""
        text = json.dumps(journal.model_dump(mode="json"), indent=1)
        fresh = self.folder / f"{JOURNAL}.new"
        _write_synced(fresh, [text])
        fresh.rename(self.folder / JOURNAL)
        _sync(self.folder)
        return journal

    def write_units(self, units: Iterable[Unit]) -> None:
        """Have all names that will be moved on the disk."""
        _write_synced(
            self.folder / UNITS, (f"{json.dumps(unit.model_dump(mode='json'))}\n" for unit in units)
        )
        _sync(self.folder)

    def units(self) -> Iterator[Unit]:
        """Yield them as they were written."""
        with (self.folder / UNITS).open(encoding="utf-8") as lines:
            for line in lines:
                yield Unit.model_validate(json.loads(line))

    def remove(self) -> None:
        """Forget the restore: the journal last."""
        for name in (UNITS, f"{JOURNAL}.new", JOURNAL):
            (self.folder / name).unlink(missing_ok=True)
        self.folder.rmdir()


def new_journal(work_folder: Path, journal: Journal) -> JournalFolder:
    """Begin a journal."""
    folder = JournalFolder(work_folder / FOLDER / journal.id)
    folder.folder.mkdir(mode=0o700, parents=True)
    _sync(folder.folder.parent)
    folder.write(journal)
    return folder


def find_journals(work_folder: Path) -> list[JournalFolder]:
    """Return all restores that are known here, oldest first."""
    try:
        folders = sorted((work_folder / FOLDER).iterdir())
    except FileNotFoundError:
        return []
    found = list[JournalFolder]()
    for folder in folders:
        if (folder / JOURNAL).exists():
            found.append(JournalFolder(folder))
        else:  # killed before it began
            with suppress(OSError):
                JournalFolder(folder).remove()
    return found


def find_journal(work_folder: Path, restore_id: str | None, kind: Kind | None) -> JournalFolder:
    """Return a restore by its id, or the newest that is done, of a kind where one is given.

    Raises:
        UsageError: there is none.
    """
    known = {each.folder.name: each for each in find_journals(work_folder)}
    if restore_id is not None:
        if restore_id not in known:
            raise unknown_value("restore", restore_id, known)
        return known[restore_id]
    for folder in reversed(known.values()):
        journal = folder.read()
        if journal.phase in (Phase.SWAPPED, Phase.DONE) and kind in (None, journal.kind):
            return folder
    raise UsageError(f"there is no restore of {'files' if kind is None else f'the {kind}'} to undo")


@contextmanager
def restoring(work_folder: Path) -> Generator[None]:
    """Let one restore of files run at a time on this host.

    Raises:
        UsageError: another is running.
    """
    handle = os.open(work_folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError("another restore of files is running here", hint="wait for it to end") from None
        yield
    finally:
        os.close(handle)


def _write_synced(path: Path, texts: Iterable[str]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(texts)
        file.flush()
        os.fsync(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
