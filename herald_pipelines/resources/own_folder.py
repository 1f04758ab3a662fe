"""Folders that are this process's for a block: what a killed one left is removed by whoever makes the next.

A lock on the folder tells who lives. Not here: what lies in them.
"""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.descent import remove_tree


@contextmanager
def own_folder(parent: Path, prefix: str) -> Generator[Path]:
    """Make a folder, mode 0700, and remove it with all in it at the end of a block.

    Args:
        parent: where it is made; those in it with the same prefix whose process is gone are removed first.
        prefix: of its name.

    Raises:
        PermanentFailure: it cannot be made.
        OSError: it cannot be removed.
    """
    for left in parent.glob(f"{prefix}*"):
        # Another's, or removed meanwhile by somebody else.
        with suppress(OSError):
            handle = _lock(left)
            try:
                _remove(left)
            finally:
                os.close(handle)
    folder, handle = _make(parent, prefix)
    try:
        yield folder
    finally:
        try:
            _remove(folder)
        finally:
            os.close(handle)


def _make(parent: Path, prefix: str) -> tuple[Path, int]:
    try:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            # Somebody may take it for a dead one's before it is locked.
            with suppress(BlockingIOError, FileNotFoundError):
                return folder, _lock(folder)
    except OSError as error:
        raise PermanentFailure(
            f"no folder can be made in {parent}: {(error.strerror or type(error).__name__).lower()}",
            hint="it must be on a disk with room, where this user may write and lock",
        ) from error


def _lock(folder: Path) -> int:
    """Return the handle that holds the lock of a folder which is still there."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = folder.lstat().st_ino == os.fstat(handle).st_ino
    except BaseException:
        os.close(handle)
        raise
    if not is_there:
        os.close(handle)
        raise FileNotFoundError(folder)
    return handle


def _remove(folder: Path) -> None:
    """Remove a folder, however deep what lies in it is."""
    base = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        remove_tree(base, folder.name)
    finally:
        os.close(base)
