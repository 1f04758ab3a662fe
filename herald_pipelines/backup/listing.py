"""The listing of a tree: one line a file, in the order of the tar, and the rules that a listing keeps. Pure.

Order is by the parts of the path, a folder right before what is in it. A line says of its file all but the content, and
of that the hash; so a restored tree is compared with the listing, and the tar must be as it says.
"""

import posixpath
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import ValidationError

from herald_pipelines.backup.facts import Document
from herald_pipelines.backup.names import is_plain, read_name, split_path
from herald_pipelines.backup.unsealing import Damaged

MOST_LINE_BYTES = 1024 * 1024
"""A path, a target and the rest have less than a tenth of it, however they are escaped."""

FileType = Literal["file", "folder", "symlink", "hardlink", "skipped"]


class Entry(Document):
    """A file of a tree. Names are as `names.show_name` writes them."""

    path: str
    """Absolute, where it was."""
    type: FileType
    mode: int = 0
    """Permission bits with setuid, setgid, sticky."""
    uid: int = 0
    gid: int = 0
    user: str = ""
    """Name of the owner; empty: it had none."""
    group: str = ""
    mtime_ns: int = 0
    """Nanoseconds since 1970."""
    size: int = 0
    """Bytes of content."""
    allocated: int | None = None
    """Bytes on disk, where they are fewer: a sparse file."""
    sha256: str | None = None
    """Of a file's content."""
    target: str | None = None
    """Of a symbolic link: its text; of a hard link: the path of the file that came before."""
    leaves: bool = False
    """A symbolic link that leads out of its tree."""
    members: int = 1
    """How often it is in the tar: the last one counts."""
    settled: bool = True
    """False: it changed each time it was read, and this is the last state that was seen."""
    reason: str | None = None
    """Why it was skipped."""

    @property
    def real_path(self) -> str:
        """The path as the file system has it."""
        return read_name(self.path)

    @property
    def real_target(self) -> str:
        """The target as the file system has it."""
        return read_name(self.target or "")


def write_line(entry: Entry) -> bytes:
    """Return the line of an entry, with its end."""
    return entry.model_dump_json(exclude_defaults=True).encode() + b"\n"


def read_lines(chunks: Iterable[bytes], what: str) -> Iterator[Entry]:
    """Yield the entries of a listing.

    Args:
        chunks: of the clear listing.
        what: what it is, for errors.

    Raises:
        Damaged: a line is none.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _parse(line, what)
        if len(rest) > MOST_LINE_BYTES:
            raise Damaged(f"{what} has a line of more than {MOST_LINE_BYTES} bytes")
    if rest:
        raise Damaged(f"{what} ends in the middle of a line")


def _parse(line: bytes, what: str) -> Entry:
    try:
        entry = Entry.model_validate_json(line)
        read_name(entry.path)
        read_name(entry.target or "")
    except (ValidationError, ValueError):
        raise Damaged(f"{what} has a line that is none: {line[:100]!a}") from None
    return entry


def check_entries(entries: Iterable[Entry], roots: Iterable[str], what: str) -> Iterator[Entry]:
    """Yield entries that are confined to their roots, and refuse all others.

    Each path is a plain absolute one, comes after the one before it, and is a root or lies in a folder that came before
    it, under the same root: so none is twice, and none lies below a link or a file. A hard link leads to a file before it
    in the same root. A symbolic link that leads out of its root says so itself.

    Args:
        entries: as they were read.
        roots: of the manifest, shown.
        what: of which backup, for errors.

    Raises:
        Damaged: an entry breaks the rules.
    """
    known = frozenset(map(read_name, roots))
    root, previous, folders = "", tuple[str, ...](), list[tuple[str, ...]]()
    for entry in entries:
        path = entry.real_path
        if not is_plain(path):
            raise _refused(entry, what, "is no plain absolute path")
        parts = split_path(path)
        if parts <= previous:
            raise _refused(entry, what, "is listed twice, or out of order")
        if path in known:
            root, folders = path, []
        else:
            while folders and folders[-1] != parts[:-1]:
                folders.pop()
            if not folders:
                raise _refused(entry, what, "lies in no folder of its tree")
        if reason := _find_breach(entry, path, root):
            raise _refused(entry, what, reason)
        if entry.type == "folder":
            folders.append(parts)
        previous = parts
        yield entry


def is_leaving(path: str, target: str, root: str) -> bool:
    """Whether a symbolic link leads out of its tree, by its text alone.

    >>> is_leaving("/srv/app/a/l", "../b", "/srv/app"), is_leaving("/srv/app/a/l", "../../b", "/srv/app")
    (False, True)
    >>> is_leaving("/srv/app/l", "/srv/app/b", "/srv/app"), is_leaving("/srv/app/l", "/etc", "/srv/app")
    (False, True)
    """
    end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return end != root and not end.startswith(f"{root}/")


def _find_breach(entry: Entry, path: str, root: str) -> str | None:
    """Return what an entry breaks besides its place."""
    if entry.type in ("symlink", "hardlink") and (not entry.target or "\0" in entry.real_target):
        return "is a link without a target"
    if entry.type == "hardlink":
        target = entry.real_target
        within = is_plain(target) and target.startswith(f"{root}/") and split_path(target) < split_path(path)
        return None if within else f"is a hard link to {entry.target}, which is no file before it in its tree"
    if entry.type == "symlink" and not entry.leaves and is_leaving(path, entry.real_target, root):
        return f"is a symbolic link to {entry.target}, which leads out of its tree"
    if entry.type == "file" and (entry.sha256 is None or entry.size < 0 or entry.members < 1):
        return "is a file without size or hash"
    return None


def _refused(entry: Entry, what: str, reason: str) -> Damaged:
    return Damaged(
        f"{what} is not as we write it: {entry.path} {reason}", hint="nothing of it was put into place"
    )
