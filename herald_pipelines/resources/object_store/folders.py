"""Folders below a root, each opened in the one above it: no symbolic link is followed, whoever puts one there meanwhile.

Not here: what lies in them (file_store).
"""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from herald_pipelines.resources.object_store.base import StoreRefused, StoreUnavailable, is_part
from herald_pipelines.settings.files import explain

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_TRIES = 20
"""How often a folder may be removed, by whoever emptied it, between its making and its use."""
_MAY_PASS = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EHOSTDOWN,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""What disks, network file systems and a busy machine say at times."""
_Result = TypeVar("_Result")


@contextmanager
def telling(what: str) -> Generator[None]:
    """Tell an OSError in a person's words; for blocks that touch files of the store only.

    Args:
        what: what could not be done, such as "the store file:///backups cannot be read".

    Raises:
        StoreUnavailable: it may pass.
        StoreRefused: it does not by itself: no room, missing rights, no such folder.
    """
    try:
        yield
    except OSError as error:
        kind = StoreUnavailable if error.errno in _MAY_PASS else StoreRefused
        raise kind(f"{what}: {explain(error)}", hint=_hint(error.errno)) from error


def _hint(number: int | None) -> str | None:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "make room on its file system"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "the store must belong to the user that herald runs as, on a file system that can be written"
    return None


def patient(action: Callable[[], _Result]) -> _Result:
    """Do what makes folders and uses them, again where somebody removed an empty one between the two."""
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            return action()
    return action()


@contextmanager
def open_folders(root: int, parts: Sequence[str], *, make: bool = False) -> Generator[list[int]]:
    """Yield handles of a root and of the folders below it, one in the other.

    Args:
        root: a handle, which stays open.
        parts: the folders' names.
        make: make those that are missing, for the present user alone.

    Raises:
        FileNotFoundError: one is missing, or a file is in its place.
        OSError: one cannot be opened, is a symbolic link, or a file where one is to be made.
    """
    handles = [root]
    try:
        for part in parts:
            handles.append(_open_folder(part, handles[-1], make=make))
        yield handles
    finally:
        for handle in handles[1:]:
            os.close(handle)


def _open_folder(name: str, parent: int, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    except NotADirectoryError:
        if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
            raise OSError(errno.ELOOP, f"{name} is a symbolic link") from None
        if make:
            raise
        raise FileNotFoundError(errno.ENOENT, f"{name} is a file") from None
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)


def open_root(root: Path) -> int:
    """Return a handle of the root itself, which may be reached by symbolic links.

    Raises:
        OSError: it is missing, no folder, or cannot be opened.
    """
    return os.open(root, _FOLDER)


def remove_empty(handles: Sequence[int], parts: Sequence[str]) -> None:
    """Remove the folders that became empty, the innermost first, up to the first that did not.

    Args:
        handles: of a folder that stays, and of those in it.
        parts: the names of the latter.
    """
    with suppress(OSError):
        for parent, name in zip(reversed(handles[:-1]), reversed(parts), strict=True):
            os.rmdir(name, dir_fd=parent)


def walk(folder: int, parts: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...], os.stat_result]]:
    """Yield each file below a folder in the order of their paths as text: its folder's handle, its parts, what it is.

    What is removed meanwhile is left out, and names that no key has.

    Raises:
        OSError: a folder cannot be read.
    """
    with os.scandir(folder) as entries:
        # As text `a-b` comes before `a/b`, so a folder is sorted with its slash.
        found = sorted(
            f"{each.name}/" if each.is_dir(follow_symlinks=False) else each.name
            for each in entries
            if is_part(each.name)
        )
    for name in found:
        path = (*parts, name.removesuffix("/"))
        try:
            if name.endswith("/"):
                with open_folders(folder, path[-1:]) as (_, inner):
                    yield from walk(inner, path)
            else:
                yield folder, path, os.lstat(name, dir_fd=folder)
        except FileNotFoundError:
            continue
