"""The journal of restores: a file each in the work folder, written before a step that a kill could leave in the dark.

The server's own marks (restore_names.py) tell almost all. This adds what they cannot: a database that was made and not yet
marked, and whether a swap that was begun has happened where no database was put aside.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from herald_pipelines.backup.facts import Document
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import PermanentFailure

FOLDER = "restores"


class Step(StrEnum):
    """How far a restore is."""

    CREATING = "creating"
    FILLING = "filling"
    """Until the swap: the oid tells whether that has happened."""
    DONE = "done"


class Entry(Document):
    """A restore."""

    id: str
    name: str
    backup: str
    system_identifier: str
    """Of the server."""
    database: str
    """What it is called while it is filled."""
    oid: int | None = None
    step: Step
    kept_as: str | None = None
    started_at: datetime
    host: str
    pid: int


def new_restore_id() -> str:
    """Return the id of a new restore: 8 hex digits."""
    return secrets.token_hex(4)


def write_entry(repository: Repository, entry: Entry) -> None:
    """Write an entry whole and durably, in place of the one of its id.

    Raises:
        PermanentFailure: the work folder cannot be written.
    """
    folder = repository.work_folder / FOLDER
    path = folder / f"{entry.id}.json"
    fresh = folder / f".{entry.id}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with fresh.open("w") as file:
            file.write(entry.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise PermanentFailure(
            f"the journal of the restore cannot be written to {folder}: {(error.strerror or '').lower()}",
            hint="let backup.work_folder name a folder with room that this user may write",
        ) from error


def remove_entry(repository: Repository, entry_id: str) -> None:
    """Forget a restore."""
    with suppress(OSError):
        _path(repository, entry_id).unlink(missing_ok=True)


def read_entry(repository: Repository, entry_id: str) -> Entry | None:
    """Return the journal of a restore, or None where there is none (it was never begun, or failed and is cleaned up).

    Raises:
        PermanentFailure: it cannot be read.
    """
    path = _path(repository, entry_id)
    try:
        return Entry.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise PermanentFailure(
            f"the journal {path} cannot be read", hint="look at it, and remove it"
        ) from error


def read_entries(repository: Repository) -> Iterator[Entry]:
    """Yield all journals, oldest first.

    Raises:
        PermanentFailure: one cannot be read.
    """
    folder = repository.work_folder / FOLDER
    found = (
        [read_entry(repository, path.stem) for path in folder.glob("[!.]*.json")] if folder.is_dir() else []
    )
    yield from sorted((each for each in found if each is not None), key=lambda each: each.started_at)


def _path(repository: Repository, entry_id: str) -> Path:
    return repository.work_folder / FOLDER / f"{entry_id}.json"
