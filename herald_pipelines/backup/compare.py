"""Compares trees on disk with the listing of a backup: what drills do after a restore. Changes nothing.

Both come in the same order and are merged, so memory does not grow with the tree.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herald_pipelines.backup.catalog import Backup
from herald_pipelines.backup.extract import restored_ids, restored_mode
from herald_pipelines.backup.file_reading import FileReading
from herald_pipelines.backup.files_archive import reading_listing
from herald_pipelines.backup.listing import Entry
from herald_pipelines.backup.names import compile_excludes, read_name, show_name, split_path
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.walk import Found, Left, OwnFolders, walk_trees
from herald_pipelines.errors import UsageError
from herald_pipelines.settings.files import explain

MOST_NAMED = 20
_NOTHING = OwnFolders(frozenset(), ())


@dataclass
class Comparison:
    """How trees differ from their backup."""

    files: int = 0
    """Compared, all but folders."""
    bytes: int = 0
    """Whose content was read."""
    differences: int = 0
    named: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """The first differences: (path as backed up, shown; what differs)."""

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "files": self.files,
            "bytes": self.bytes,
            "differences": self.differences,
            "named": [list(each) for each in self.named],
        }

    def note(self, path: str, what: str) -> None:
        """Take note of a difference."""
        self.differences += 1
        if len(self.named) < MOST_NAMED:
            self.named.append((show_name(path), what))


def compare_tree(repository: Repository, backup: Backup, folder: Path) -> Comparison:
    """Compare the trees below a folder, each at its whole path, with the listing of their backup.

    Content is compared by its hash; type, mode, times and targets of links too, owners where this is root. What is there
    and not in the backup is a difference.

    Args:
        repository: where the backup is.
        backup: of files.
        folder: `/` for the trees where they were; else where `extract_into` or a restore with a destination put them.

    Raises:
        UsageError: it is no backup of files.
        Damaged: the listing is not what was written.
        HeraldError: of the kind that fits what the store said.
    """
    if backup.manifest.files is None:
        raise UsageError(f"{backup.manifest.id} is a backup of a {backup.manifest.kind}, not of files")
    above = "" if folder == Path("/") else str(folder)
    roots = sorted(map(read_name, backup.manifest.files.roots), key=split_path)
    comparison = Comparison()
    found = walk_trees([f"{above}{root}" for root in roots], compile_excludes([]), _NOTHING)
    with reading_listing(repository, backup.manifest) as entries:
        for path, entry, there in _merge(entries, found, len(above)):
            if entry is not None and there is not None:
                _compare(path, entry, there, above, comparison)
            elif entry is not None and entry.type != "skipped":
                comparison.note(path, "is missing")
            elif there is not None and not (isinstance(there, Left) and not there.is_failure):
                comparison.note(path, "is not in the backup")
    return comparison


def _merge(
    entries: Iterator[Entry], found: Iterable[Found | Left], cut: int
) -> Iterator[tuple[str, Entry | None, Found | Left | None]]:
    """Yield each path with what the listing and the disk have of it."""
    entry = next(entries, None)
    for there in found:
        path = there.path[cut:]
        parts = split_path(path)
        while entry is not None and split_path(entry.real_path) < parts:
            yield entry.real_path, entry, None
            entry = next(entries, None)
        if entry is not None and entry.real_path == path:
            yield path, entry, there
            entry = next(entries, None)
        else:
            yield path, None, there
    while entry is not None:
        yield entry.real_path, entry, None
        entry = next(entries, None)


def _compare(path: str, entry: Entry, there: Found | Left, above: str, comparison: Comparison) -> None:
    if entry.type == "skipped":
        if isinstance(there, Found):
            comparison.note(path, "is not in the backup")
        return
    if isinstance(there, Left):
        comparison.note(path, "is missing" if not os.path.lexists(there.path) else there.reason)
        return
    comparison.files += not there.is_folder
    try:
        what = _find_difference(entry, there, above, comparison)
    except OSError as error:
        what = f"cannot be read: {explain(error)}"
    if what is not None:
        comparison.note(path, what)


def _find_difference(entry: Entry, there: Found, above: str, comparison: Comparison) -> str | None:
    status = there.status
    is_type = {"folder": stat.S_ISDIR, "symlink": stat.S_ISLNK}.get(entry.type, stat.S_ISREG)
    if not is_type(status.st_mode):
        return f"is no {entry.type}"
    other = _find_other_facts(entry, status)
    if other is None and entry.type == "symlink":
        is_same = os.readlink(there.name, dir_fd=there.handle) == entry.real_target
        other = None if is_same else "leads elsewhere"
    elif other is None and entry.type == "hardlink":
        is_same = os.path.samestat(os.lstat(above + entry.real_target), status)
        other = None if is_same else f"is not the same file as {entry.target}"
    elif other is None and entry.type == "file":
        other = _find_other_content(entry, there, comparison)
    return other


def _find_other_facts(entry: Entry, status: os.stat_result) -> str | None:
    mode = stat.S_IMODE(status.st_mode)
    if entry.type != "symlink" and mode != restored_mode(entry, status.st_uid, status.st_gid):
        return f"has mode {mode:o} instead of {entry.mode:o}"
    if os.geteuid() == 0 and (status.st_uid, status.st_gid) != restored_ids(entry):
        return f"belongs to {status.st_uid}:{status.st_gid}"
    return None if status.st_mtime_ns == entry.mtime_ns else "has another time"


def _find_other_content(entry: Entry, there: Found, comparison: Comparison) -> str | None:
    if there.status.st_size != entry.size:
        return f"has {there.status.st_size} bytes instead of {entry.size}"
    with FileReading(there.name, there.handle) as reading:
        comparison.bytes += sum(map(len, reading.pieces()))
        if reading.failure is not None:
            return f"cannot be read: {reading.failure}"
        return None if reading.sha256 == entry.sha256 else "has another content"
