"""A tree as one tar (POSIX.1-2001, pax), piece by piece, and its listing beside it. Nothing of it is kept in memory.

What changes while it is read is read again: a small file before it is written, a large one as a further member of the
same name, of which every tar takes the last. Not here: what becomes of the pieces (files.py).
"""

import errno
import grp
import os
import pwd
import stat
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from herald_pipelines.backup.file_reading import FileReading
from herald_pipelines.backup.listing import Entry, FileType, is_leaving
from herald_pipelines.backup.names import show_name
from herald_pipelines.backup.walk import VANISHED, Found, Left
from herald_pipelines.settings.files import explain

SMALL_BYTES = 4 * 1024 * 1024
"""Up to this size a file is read whole before it is written."""
MOST_READS = 3
SETTLE_SECONDS = 0.05
MOST_LINKS = 100_000
"""Files with several names that are remembered, some 20 MB; what comes after is kept once for each name."""
MOST_NAMED = 1000
"""Of each of the manifest's lists; all are in the listing."""
MOST_UNREADABLE = 20
_SET_ANEW = frozenset({"security.selinux"})
"""Attributes that every host gives by its own policy."""
_REPLACED = (errno.ENOENT, errno.ELOOP, errno.ENXIO)
_TAR_TYPES = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
}
_END = bytes(2 * tarfile.BLOCKSIZE)
_NANOSECONDS = 1_000_000_000
_DISK_BLOCK = 512
"""Of st_blocks."""


@dataclass
class TreeFacts:
    """What was met in trees so far; names as they are shown."""

    files: int = 0
    """All but folders."""
    bytes: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    changed: list[str] = field(default_factory=list[str])
    """Changed each time they were read."""
    reread: list[str] = field(default_factory=list[str])
    """Changed while they were read, and were read again whole."""
    unnamed: int = 0
    """How many more of these three there are."""
    unreadable: list[str] = field(default_factory=list[str])

    def skip(self, path: str, reason: str) -> None:
        """Take note of what is left out."""
        self._add(self.skipped, (show_name(path), reason))

    def refuse(self, path: str, reason: str) -> None:
        """Take note of what should have been read."""
        self.unreadable.append(f"{show_name(path)} ({reason})")

    def read_again(self, path: str, *, settled: bool) -> None:
        """Take note of a file that changed while it was read."""
        self._add(self.reread if settled else self.changed, show_name(path))

    def _add(self, names: list[Any], name: object) -> None:
        if len(names) < MOST_NAMED:
            names.append(name)
        else:
            self.unnamed += 1


class TreeArchive:
    """Trees on their way into a tar.

    Args:
        found: of `walk.walk_trees`.
        put: takes each entry of the listing, after its members went out.
    """

    def __init__(self, found: Iterable[Found | Left], put: Callable[[Entry], None]) -> None:
        self._found, self._put = found, put
        self._links: dict[tuple[int, int], str] = {}
        self._links_root = ""
        self.facts = TreeFacts()

    def pieces(self) -> Iterator[bytes]:
        """Yield the tar. It ends early once too many files could not be read: `facts.unreadable` names them."""
        size = 0
        for each in self._found:
            for piece in self._take(each):
                size += len(piece)
                yield piece
            if len(self.facts.unreadable) >= MOST_UNREADABLE:
                return
        yield _END
        yield bytes(-(size + len(_END)) % tarfile.RECORDSIZE)

    def _take(self, each: Found | Left) -> Iterator[bytes]:
        if isinstance(each, Left):
            self._leave(each)
            return
        try:
            if each.is_folder:
                self._tell_attributes(each.path, each.handle)
                yield from self._member(_describe(each.path, each.status, "folder"))
            elif stat.S_ISLNK(each.status.st_mode):
                yield from self._take_link(each)
            else:
                yield from self._take_file(each)
        except OSError as error:
            if error.errno in _REPLACED or error.errno is None:
                self._leave(Left(each.path, VANISHED, is_failure=each.path == each.root))
            else:
                self._leave(Left(each.path, explain(error), is_failure=True))

    def _leave(self, left: Left) -> None:
        if left.is_failure:
            self.facts.refuse(left.path, left.reason)
        else:
            self.facts.skip(left.path, left.reason)
            self._put(Entry(path=show_name(left.path), type="skipped", reason=left.reason))

    def _take_link(self, found: Found) -> Iterator[bytes]:
        target = os.readlink(found.name, dir_fd=found.handle)
        entry = _describe(found.path, found.status, "symlink").model_copy(
            update={"target": show_name(target), "leaves": is_leaving(found.path, target, found.root)}
        )
        self.facts.files += 1
        yield from self._member(entry)

    def _take_file(self, found: Found) -> Iterator[bytes]:
        if found.root != self._links_root:
            self._links_root = found.root
            self._links.clear()
        identity = (found.status.st_dev, found.status.st_ino)
        first = self._links.get(identity) if found.status.st_nlink > 1 else None
        if first is not None:
            entry = _describe(found.path, found.status, "hardlink")
            self.facts.files += 1
            yield from self._member(entry.model_copy(update={"target": show_name(first)}))
            return
        yield from self._read_file(found)
        if found.status.st_nlink > 1 and len(self._links) < MOST_LINKS:
            self._links[identity] = found.path

    def _read_file(self, found: Found) -> Iterator[bytes]:
        """Yield the members of a file, the last of which counts."""
        reads = members = 0
        entry, settled = None, False
        while not settled and reads < MOST_READS:
            if reads:
                time.sleep(SETTLE_SECONDS)
            reads += 1
            try:
                reading = FileReading(found.name, found.handle)
            except FileNotFoundError:
                if entry is None:
                    raise
                break  # what was read before it went
            with reading:
                is_small = reading.size <= SMALL_BYTES
                content = reading.whole() if is_small else b""
                settled = reading.is_settled()
                if is_small and not settled and reads < MOST_READS:
                    continue
                if members == 0:
                    self._tell_attributes(found.path, reading.handle)
                members += 1
                entry = _describe(found.path, reading.status, "file").model_copy(
                    update={"size": reading.size}
                )
                yield _header(entry)
                yield from [content] if is_small else reading.pieces()
                yield bytes(-reading.size % tarfile.BLOCKSIZE)
                settled = settled and (is_small or reading.is_settled())
                entry = entry.model_copy(update={"sha256": reading.sha256})
                if reading.failure is not None:
                    self.facts.refuse(found.path, reading.failure)
                    break
        if entry is None:
            raise FileNotFoundError
        if reads > 1 or not settled:
            self.facts.read_again(found.path, settled=settled)
        self.facts.files += 1
        self.facts.bytes += entry.size
        self._put(entry.model_copy(update={"members": members, "settled": settled}))

    def _member(self, entry: Entry) -> Iterator[bytes]:
        yield _header(entry)
        self._put(entry)

    def _tell_attributes(self, path: str, handle: int) -> None:
        try:
            names = set(os.listxattr(handle)) - _SET_ANEW
        except OSError:  # a file system without them
            return
        if names:
            kept = ", ".join(sorted(names))
            self.facts.skip(path, f"is kept, but not its extended attributes: {show_name(kept)}")


def _describe(path: str, status: os.stat_result, kind: FileType) -> Entry:
    allocated = status.st_blocks * _DISK_BLOCK
    return Entry(
        path=show_name(path),
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        user=_user(status.st_uid),
        group=_group(status.st_gid),
        mtime_ns=status.st_mtime_ns,
        allocated=allocated if kind == "file" and allocated < status.st_size else None,
    )


def _header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.real_path[1:])
    info.type = _TAR_TYPES[entry.type]
    info.mode, info.size = entry.mode, entry.size
    info.uid, info.gid, info.uname, info.gname = entry.uid, entry.gid, entry.user, entry.group
    info.mtime = max(entry.mtime_ns, 0) // _NANOSECONDS
    if entry.mtime_ns % _NANOSECONDS or entry.mtime_ns < 0:
        sign = "-" if entry.mtime_ns < 0 else ""
        seconds, rest = divmod(abs(entry.mtime_ns), _NANOSECONDS)
        info.pax_headers = {"mtime": f"{sign}{seconds}.{rest:09}"}
    if entry.target is not None:
        info.linkname = entry.real_target[1:] if entry.type == "hardlink" else entry.real_target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@lru_cache(maxsize=1024)
def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return ""


@lru_cache(maxsize=1024)
def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""
