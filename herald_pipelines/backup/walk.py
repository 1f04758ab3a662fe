"""Walks trees in the order of listings, with a handle on the folder one is in. Follows no link, keeps no list of all.

Memory grows with the largest folder and the depth, not with the tree. Not here: reading files (tar_stream.py).
"""

import os
import re
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from herald_pipelines.resources.descent import Descent, names_in
from herald_pipelines.settings.files import explain

VANISHED = "vanished while the tree was read"
OWN = "belongs to herald itself"
SPECIAL_TYPES = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "FIFO",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}
STAGING = ".herald-restore-"
"""Begins the name of a folder that a restore is filling."""


@dataclass(frozen=True, slots=True)
class Found:
    """A folder, file or symbolic link of a tree."""

    root: str
    path: str
    name: str
    status: os.stat_result
    handle: int = field(repr=False)
    """Of the folder itself, or of the folder that a file lies in: valid until the next is asked for."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.status.st_mode)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left out of a tree."""

    path: str
    reason: str
    is_failure: bool = False
    """It should have been read."""


@dataclass(frozen=True)
class OwnFolders:
    """Folders that are never backed up where they are met: what is in them is herald's."""

    identities: frozenset[tuple[int, int]]
    paths: tuple[Path, ...]
    """Without links."""

    @classmethod
    def of(cls, folders: Sequence[Path]) -> "OwnFolders":
        """Take the folders of these that exist."""
        there = [folder for folder in folders if folder.exists()]
        found = [folder.stat() for folder in there]
        return cls(
            frozenset((status.st_dev, status.st_ino) for status in found),
            tuple(folder.resolve() for folder in there),
        )

    def holds(self, status: os.stat_result) -> bool:
        """Whether a folder is one of them."""
        return (status.st_dev, status.st_ino) in self.identities


def walk_trees(roots: Sequence[str], excludes: re.Pattern[str], own: OwnFolders) -> Iterator[Found | Left]:
    """Yield all that is in trees, in the order of listings; a folder before what is in it.

    Args:
        roots: absolute paths; links above a root are followed, none from it on.
        excludes: of `names.compile_excludes`.
        own: folders that are not entered.
    """
    for root in roots:
        try:
            above = os.open(Path(root).parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            yield Left(root, explain(error), is_failure=True)
            continue
        with closing(Descent(above)) as descent:
            for each in _walk(root, descent, excludes, own):
                # A file may go; the root of a tree is what somebody asked for.
                if isinstance(each, Left) and each.path == root:
                    yield Left(each.path, each.reason, is_failure=True)
                else:
                    yield each


def _walk(root: str, descent: Descent, excludes: re.Pattern[str], own: OwnFolders) -> Generator[Found | Left]:
    above, _, name = root.rpartition("/")
    waiting = [(above, iter([name]))]
    while waiting:
        folder, names = waiting[-1]
        name = next(names, None)
        if name is None:
            waiting.pop()
            if waiting:
                descent.leave()
            continue
        path = f"{folder}/{name}"
        if excludes.fullmatch(path):
            continue
        try:
            status = os.lstat(name, dir_fd=descent.handle)
            if not stat.S_ISDIR(status.st_mode):
                kind = SPECIAL_TYPES.get(stat.S_IFMT(status.st_mode))
                yield Left(path, f"is a {kind}") if kind else Found(root, path, name, status, descent.handle)
                continue
            if own.holds(status) or name.startswith(STAGING):
                yield Left(path, OWN)
                continue
            descent.enter(name)
        except (FileNotFoundError, NotADirectoryError):
            yield Left(path, VANISHED)
            continue
        except OSError as error:
            yield Left(path, explain(error), is_failure=True)
            continue
        inner = list[str]()
        try:
            # In the order of code points, which is everywhere the same.
            inner = sorted(names_in(descent.handle))
        except OSError as error:
            yield Left(path, explain(error), is_failure=True)
        yield Found(root, path, name, os.fstat(descent.handle), descent.handle)
        waiting.append((path, iter(inner)))
