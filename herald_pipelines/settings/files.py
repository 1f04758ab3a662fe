"""Text files that operators name, read with care. Not here: what the text means."""

import errno
import stat
from dataclasses import dataclass
from pathlib import Path

MOST_YAML_BYTES = 4 * 1024 * 1024
"""Of herald.yaml and of a calendar: several times the size of one with 10,000 databases."""
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class TextFile:
    """What a file held when it was read."""

    text: str
    mode: int
    """Permission bits."""


def read_text_file(path: Path, most_bytes: int) -> TextFile:
    """Read a regular file of UTF-8 text, with or without a byte order mark; nothing else is waited for or drained.

    Raises:
        OSError: it cannot be read, is no regular file, too large or no text; `explain` says why.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no path has a NUL in it")
    # asked before it is opened: a FIFO without a writer would hold us up for ever
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is a directory" if stat.S_ISDIR(mode) else "not a regular file")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"larger than {most_bytes} bytes")
    text = content.decode("utf-8-sig", errors="replace")
    # a text with that very character in it is refused too, which no settings or secret need
    if "\ufffd" in text or "\0" in text:
        raise OSError(errno.EILSEQ, "not UTF-8 text")
    return TextFile(text, stat.S_IMODE(mode))


def explain(error: OSError) -> str:
    """Say why a file cannot be read, without its path.

    >>> explain(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    reason = error.strerror or type(error).__name__
    return reason[:1].lower() + reason[1:]


def show_file(path: Path) -> str:
    """Write a path for people: its ends only, where it is longer than paths are."""
    text = str(path)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:100]}...{text[-50:]}"
