"""Reads a backup of files from the store: tar and listing side by side, each as the other says. Writes nothing.

Whoever takes all members without an error knows that tar, listing and manifest agree to the last byte; before that
nothing of it is to be trusted. Not here: where files are put (extract.py).
"""

import hashlib
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.files import FILES, LISTING
from herald_pipelines.backup.listing import Entry, check_entries, read_lines
from herald_pipelines.backup.parts import open_part
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.errors import PermanentFailure

READ_BYTES = 1024 * 1024
_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}
# What tarfile raises on headers that it cannot make sense of.
_TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, EOFError)


@dataclass
class Member:
    """A file of a backup, with its content while it is the newest one taken."""

    entry: Entry
    content: Iterator[bytes]
    """Chunks of a file, nothing for the rest; raises Damaged at its end where it has another hash."""


@contextmanager
def reading_listing(repository: Repository, manifest: Manifest) -> Generator[Iterator[Entry]]:
    """Give the entries of a backup, confined to its roots as `check_entries` says; skipped files are among them.

    Raises:
        PermanentFailure: it is no backup of files.
    """
    if manifest.files is None:
        raise PermanentFailure(f"{manifest.id} is a backup of a {manifest.kind}, not of files")
    what = f"the listing of {manifest.id}"
    with open_part(repository, manifest, LISTING) as chunks:
        yield check_entries(read_lines(chunks, what), manifest.files.roots, what)


@contextmanager
def reading_files(repository: Repository, manifest: Manifest) -> Generator[Iterator[Member]]:
    """Give the members of a backup, each as its listing says.

    Taking them raises Damaged where tar, listing or content differ, and whatever reading the store raised.

    Raises:
        PermanentFailure: it is no backup of files.
    """
    with (
        reading_listing(repository, manifest) as entries,
        open_part(repository, manifest, FILES) as chunks,
    ):
        source = _Source(chunks)
        yield _Tar(source, f"{FILES} of {manifest.id}").members(entries)


class _Source:
    """Chunks, readable like a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return so many bytes, and fewer at the end only."""
        pieces = list[memoryview]()
        while size > 0:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    break
            pieces.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(pieces[-1])
        return b"".join(pieces)

    def drain(self) -> None:
        """Read to the end, where the hash of the whole is judged."""
        self._rest = memoryview(b"")
        for _ in self._chunks:
            pass


class _Tar:
    """A tar that is read in step with its listing."""

    def __init__(self, source: _Source, what: str) -> None:
        self._source, self._what = source, what
        self._tar: tarfile.TarFile | None = None

    def members(self, entries: Iterator[Entry]) -> Iterator[Member]:
        """Yield them all; the rest of a content that nobody took is read and checked too."""
        for entry in entries:
            if entry.type == "skipped":
                continue
            for _ in range(entry.members - 1):
                self._require(entry, self._next())
            info = self._next()
            self._require(entry, info)
            content = self._content(entry, info) if info is not None and info.isreg() else iter(())
            yield Member(entry, content)
            for _ in content:
                pass
        if self._next() is not None:
            raise Damaged(f"{self._what} holds more than its listing says")
        self._source.drain()

    def _next(self) -> tarfile.TarInfo | None:
        try:
            if self._tar is None:
                # It only reads, whatever its types ask for.
                self._tar = tarfile.open(  # noqa: SIM115 - there is nothing to close
                    fileobj=cast("IO[bytes]", self._source),
                    mode="r|",
                    bufsize=READ_BYTES,
                    encoding="utf-8",
                    errors="surrogateescape",
                )
            info = self._tar.next()
        except _TAR_ERRORS as error:
            raise self._broken(str(error)) from error
        # It keeps all that it has read, and there may be millions.
        cast("Any", self._tar).members = []
        return info

    def _require(self, entry: Entry, info: tarfile.TarInfo | None) -> None:
        """Refuse a member that is not what its entry says."""
        if info is None:
            raise self._broken(f"it ends before {entry.path}")
        target = f"/{info.linkname}" if info.islnk() else info.linkname
        given = (f"/{info.name}", _TYPES.get(info.type), info.mode, target if _is_link(entry) else None)
        wanted = (entry.real_path, entry.type, entry.mode, entry.real_target if _is_link(entry) else None)
        if given != wanted:
            raise Damaged(
                f"{self._what} is not as its listing says: {info.name!a} is there for {entry.path}",
                hint="nothing of it was put into place",
            )

    def _content(self, entry: Entry, info: tarfile.TarInfo) -> Iterator[bytes]:
        if info.size != entry.size:
            raise Damaged(f"{self._what} is not as its listing says: {entry.path} has {info.size} bytes")
        file = None if self._tar is None else self._tar.extractfile(info)
        sha256, left = hashlib.sha256(), entry.size
        while left and file is not None:
            try:
                chunk = file.read(min(left, READ_BYTES))
            except _TAR_ERRORS as error:
                raise self._broken(str(error)) from error
            if not chunk:
                raise self._broken(f"it ends in {entry.path}")
            sha256.update(chunk)
            left -= len(chunk)
            yield chunk
        if sha256.hexdigest() != entry.sha256:
            raise Damaged(f"{self._what} is damaged: {entry.path} is not what was backed up")

    def _broken(self, reason: str) -> Damaged:
        """Return the error, unless the stream as a whole says more."""
        self._source.drain()
        return Damaged(f"{self._what} is no whole tar: {reason}")


def _is_link(entry: Entry) -> bool:
    return entry.type in ("symlink", "hardlink")
