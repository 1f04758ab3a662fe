"""What Linux can do with names and Python cannot say: two of them exchanged at once, and one file system synced."""

import ctypes
import errno
import os

_EXCHANGE = 2
"""RENAME_EXCHANGE of linux/fs.h."""
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(folder: int, name: str, other_folder: int, other_name: str) -> bool:
    """Exchange what two names stand for, at once; false where the file system cannot.

    Raises:
        OSError: one is missing, or may not be renamed.
    """
    try:
        rename = _LIBC.renameat2
    except AttributeError:  # a C library older than the call
        return False
    if rename(folder, os.fsencode(name), other_folder, os.fsencode(other_name), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), other_name)


def sync_file_system(handle: int) -> None:
    """Have all of a file system on its disk.

    Raises:
        OSError: something of it could not be written.
    """
    if _LIBC.syncfs(handle) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
