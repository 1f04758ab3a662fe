"""What a listing has of what is to be restored, counted in one pass. Not here: whether it fits (files_plan.py)."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from herald_pipelines.backup.extract import is_known, restored_ids
from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.listing import Entry
from herald_pipelines.backup.names import compile_selection
from herald_pipelines.errors import UsageError

BLOCK_BYTES = 4096
"""What a file takes at least, and a folder: the usual block of ext4, xfs and btrfs."""
MOST_NAMED = 5


@dataclass
class TreeSurvey:
    """What of one tree is wanted."""

    root: str
    type: str
    files: int = 0
    folders: int = 0
    bytes: int = 0
    disk_bytes: int = 0


class Survey:
    """What a listing has of what is wanted."""

    def __init__(self, only: tuple[str, ...]) -> None:
        self._only = only
        self._unmatched = {pattern: compile_selection([pattern]) for pattern in only}
        self.selection = compile_selection(only)
        self.trees: list[TreeSurvey] = []
        self.sources: set[str] = set()
        self.strangers: set[str] = set()
        """Names of owners that this host does not know."""
        self.foreign = self.leaving = self.unsettled = self.skipped = 0
        self._uid = os.geteuid()

    def read(self, entries: Iterable[Entry], roots: frozenset[str]) -> None:
        """Take them all."""
        for entry in entries:
            path = entry.real_path
            if path in roots:
                self.trees.append(TreeSurvey(path, entry.type))
            if self._only and self.selection.fullmatch(path) is None:
                continue
            self._unmatched = {
                pattern: compiled
                for pattern, compiled in self._unmatched.items()
                if compiled.fullmatch(path) is None
            }
            if entry.type == "skipped":
                self.skipped += 1
                continue
            self._count(entry, self.trees[-1])

    def require_all(self, manifest: Manifest) -> None:
        """Refuse a pattern that nothing matched."""
        for pattern in self._unmatched:
            roots = manifest.files.roots if manifest.files else ()
            raise UsageError(
                f"{pattern!a} is not in {manifest.id} (known: {', '.join(roots)} and what is below)"
            )

    def _count(self, entry: Entry, tree: TreeSurvey) -> None:
        if entry.type == "folder":
            tree.folders += 1
        else:
            tree.files += 1
        if entry.type == "hardlink" and self._only and self.selection.fullmatch(entry.real_target) is None:
            self.sources.add(entry.real_target)
        tree.bytes += entry.size
        taken = entry.size if entry.allocated is None else min(entry.allocated, entry.size)
        tree.disk_bytes += -(-taken // BLOCK_BYTES) * BLOCK_BYTES + BLOCK_BYTES
        self.leaving += entry.leaves
        self.unsettled += not entry.settled
        uid, _ = restored_ids(entry)
        self.foreign += uid != self._uid
        if len(self.strangers) < MOST_NAMED and not is_known(entry.user):
            self.strangers.add(entry.user)
