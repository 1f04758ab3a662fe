"""HERALD_HOME as a folder: whether what we start can live in it, and a person's words for what goes wrong there.

Not here: what lies in it (embedded, dagster_home).
"""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from herald_pipelines.errors import PermanentFailure, UsageError

LONGEST_HOME_BYTES = 900
"""PostgreSQL keeps paths in 1024 bytes; below a home of 980 its server still starts, below one of 1000 not."""
SHOWN_LETTERS = 100
FULL = (errno.ENOSPC, errno.EDQUOT)


def check_home(home: Path) -> None:
    """Refuse a home that PostgreSQL or Dagster cannot live in.

    Raises:
        UsageError: its path is too long, no UTF-8, or holds control characters: the server's pid file has a line for it.
    """
    text = str(home)
    reason = None
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):  # noqa: PLR2004 - undecodable bytes
        reason = "its path is not UTF-8"
    elif any(ord(letter) < ord(" ") or letter == "\x7f" for letter in text):
        reason = "its path holds a control character"
    elif (length := len(text.encode())) > LONGEST_HOME_BYTES:
        reason = f"its path has {length} bytes, and PostgreSQL takes {LONGEST_HOME_BYTES}"
    if reason is not None:
        shown = text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}..."
        raise UsageError(
            f"herald's home {shown!a} cannot be used: {reason}",
            hint="let HERALD_HOME name another folder",
        )


@contextmanager
def writing_home(home: Path) -> Generator[None]:
    """Tell in a person's words that HERALD_HOME cannot be written; for blocks that touch files only.

    Raises:
        PermanentFailure: its file system is full.
        UsageError: it cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        sentence = f"herald's home {home} cannot be used: {reason}"
        if error.errno in FULL:
            raise PermanentFailure(
                sentence, hint="make room, or let HERALD_HOME name a folder on another file system"
            ) from error
        raise UsageError(sentence, hint="let HERALD_HOME name a folder that you may write") from error


def write_whole(path: Path, text: str, *, mode: int = 0o644, durable: bool = False) -> None:
    """Write a small file whole or not at all, its mode set before its content; what is no UTF-8 stays.

    Args:
        path: of the file.
        text: its content.
        mode: its permission bits.
        durable: whether it must be there after the machine's power was lost.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.rename(path)
        if durable:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        fresh.unlink(missing_ok=True)
