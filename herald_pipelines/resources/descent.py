"""Folders below a folder, each opened in the one above it: no symbolic link is followed, whoever puts one there meanwhile.

Trees may be deeper than a process may have handles, and their paths longer than the system takes. Not here: what lies in
them; the store has its own (object_store/folders.py), which makes folders and has no deep ones.
"""

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
MOST_HANDLES = 64
"""Of one descent: a process usually has 1024."""


@dataclass
class _Level:
    handle: int
    """-1: closed, to be opened again from below."""
    identity: tuple[int, int]


class Descent:
    """Where one is in a tree.

    Args:
        handle: of the folder to begin in; closed with the rest.
    """

    def __init__(self, handle: int) -> None:
        self._levels = [_Level(handle, _identity(handle))]

    @property
    def handle(self) -> int:
        """Of the folder one is in."""
        return self._levels[-1].handle

    @property
    def depth(self) -> int:
        """How many folders below the first one is."""
        return len(self._levels) - 1

    def enter(self, name: str) -> None:
        """Go into a folder.

        Raises:
            OSError: it is missing, none, a symbolic link, or cannot be read.
        """
        handle = os.open(name, FOLDER, dir_fd=self.handle)
        self._levels.append(_Level(handle, _identity(handle)))
        if len(self._levels) > MOST_HANDLES:
            far = self._levels[-MOST_HANDLES - 1]
            if far.handle >= 0:
                os.close(far.handle)
                far.handle = -1

    def leave(self) -> None:
        """Go back to the folder above.

        Raises:
            OSError: the folder was moved to another place meanwhile.
        """
        above = self._levels[-2]
        if above.handle < 0:
            handle = os.open("..", FOLDER, dir_fd=self.handle)
            if _identity(handle) != above.identity:
                os.close(handle)
                raise OSError(errno.ESTALE, "a folder was moved while it was read")
            above.handle = handle
        os.close(self._levels.pop().handle)

    def close(self) -> None:
        """Close all handles."""
        while self._levels:
            handle = self._levels.pop().handle
            if handle >= 0:
                os.close(handle)


def names_in(folder: int) -> list[str]:
    """Return the names in a folder, by its handle.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(folder) as entries:
        return [each.name for each in entries]


@contextmanager
def open_below(base: int, parts: Sequence[str]) -> Generator[int]:
    """Give a handle of a folder below another, by its parts; no part is followed where it is a symbolic link.

    Raises:
        OSError: one is missing, none, or a symbolic link.
    """
    descent = Descent(os.dup(base))
    try:
        for part in parts:
            descent.enter(part)
        yield descent.handle
    finally:
        descent.close()


def remove_tree(base: int, name: str, *, only_empty: bool = False) -> None:
    """Remove a file or a folder with all in it, however deep; what is missing is no error.

    Args:
        base: handle of the folder it lies in.
        name: its name.
        only_empty: remove nothing but folders in which nothing is but such folders.

    Raises:
        OSError: something cannot be removed.
    """
    if not _is_folder_left(base, name, keep=only_empty):
        return
    descent = Descent(os.dup(base))
    try:
        descent.enter(name)
        names, waiting = [name], [names_in(descent.handle)]
        while waiting:
            if not waiting[-1]:
                waiting.pop()
                descent.leave()
                _remove_folder(names.pop(), descent.handle, keep=only_empty)
                continue
            inner = waiting[-1].pop()
            if _is_folder_left(descent.handle, inner, keep=only_empty):
                if not only_empty:
                    # Its owner may have taken the right to remove what is in it.
                    os.chmod(inner, 0o700, dir_fd=descent.handle)
                descent.enter(inner)
                names.append(inner)
                waiting.append(names_in(descent.handle))
    finally:
        descent.close()


def _is_folder_left(folder: int, name: str, *, keep: bool) -> bool:
    """Remove what is no folder, unless that is to be kept; true for a folder."""
    try:
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            return True
        if not keep:
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    return False


def _remove_folder(name: str, folder: int, *, keep: bool) -> None:
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError as error:
        if not keep or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _identity(handle: int) -> tuple[int, int]:
    status = os.fstat(handle)
    return status.st_dev, status.st_ino
