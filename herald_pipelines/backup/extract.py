"""Puts the files of a backup into folders, and nothing outside of them.

Each folder is made by us, opened in the one above it, and left when what is in it has come; a file is made in the folder
one is in, by its last name alone, and only where nothing is. So however a signed listing and tar were forged:

    absolute names, `..`, empty parts, another order, a name twice    refused by the listing's rules (listing.py)
    members that the listing has not, or has otherwise                refused by files_archive.py
    files below a link or a file of the backup, or a link met there   no folder that we made, or O_NOFOLLOW, O_EXCL
    hard links to what is outside, to a link, to what comes later     a target is a file of this extraction, or refused
    symbolic links that lead out                                      refused, unless they led out when they were backed up
    devices, FIFOs, other types                                       no type of a listing

Links are never followed, so one that led out is put back as it was, as text. Not here: what is put where (files_plan.py),
and how it comes into place (files_swap.py).
"""

import grp
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.files_archive import Member, reading_files
from herald_pipelines.backup.listing import Entry
from herald_pipelines.backup.names import read_name, split_path
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.descent import Descent, open_below
from herald_pipelines.settings.files import explain
from herald_pipelines.values import Say, format_bytes

EVERY_SECONDS = 5.0
HOLE_BYTES = 64 * 1024
"""Zeros of this length and more become a hole, in a file that was sparse."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_SET_ID = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True)
class Place:
    """Where the root of a tree is put."""

    folder: int
    """Handle of the folder; the caller's."""
    name: str


@dataclass
class Extracted:
    """What was put somewhere."""

    files: int = 0
    """All but folders."""
    bytes: int = 0


def extract_into(repository: Repository, manifest: Manifest, folder: Path, *, say: Say) -> Extracted:
    """Put all of a backup below a folder, each tree under its whole path: for drills and for looking at it.

    Args:
        repository: where from.
        manifest: of a backup of files.
        folder: exists; what the backup has must not be there yet.
        say: told of the progress.

    Raises:
        Damaged: the backup is not what was written; what was put there is not to be used.
        HeraldError: of the kind that fits.
    """
    roots = [read_name(root) for root in manifest.files.roots] if manifest.files else []
    handles = dict[str, int]()
    try:
        for root in roots:
            above = Path(folder, *split_path(root)[:-1])
            above.mkdir(parents=True, exist_ok=True)
            handles[root] = os.open(above, os.O_RDONLY | os.O_DIRECTORY)
        places = {root: Place(handle, split_path(root)[-1]) for root, handle in handles.items()}
        with reading_files(repository, manifest) as members:
            return extract(members, places, lambda _entry: True, say=say)
    except OSError as error:
        raise PermanentFailure(f"{folder} cannot be filled: {explain(error)}") from error
    finally:
        for handle in handles.values():
            os.close(handle)


def extract(
    members: Iterable[Member],
    places: Mapping[str, Place],
    is_wanted: Callable[[Entry], bool],
    *,
    say: Say,
) -> Extracted:
    """Put members of a backup into their places; owners as root only.

    Args:
        members: all of the backup, so that all is checked.
        places: by root, as the file system has it.
        is_wanted: whether to put an entry; folders above one that is wanted are made as well.
        say: told of the progress.

    Raises:
        Damaged: a member is not what was written.
        PermanentFailure: a file cannot be made.
    """
    extraction = _Extraction(places, is_wanted, say)
    try:
        for member in members:
            extraction.take(member)
        extraction.finish()
    finally:
        extraction.close()
    return extraction.done


@dataclass
class _Folder:
    entry: Entry
    parts: tuple[str, ...]
    is_made: bool = False


class _Extraction:
    def __init__(self, places: Mapping[str, Place], is_wanted: Callable[[Entry], bool], say: Say) -> None:
        self._places, self._is_wanted, self._say = places, is_wanted, say
        self._folders: list[_Folder] = []
        self._descent: Descent | None = None
        self._place = Place(-1, "")
        self._root = ""
        self._told = time.monotonic()
        self.done = Extracted()

    def take(self, member: Member) -> None:
        """Put one where it belongs."""
        entry = member.entry
        path = entry.real_path
        parts = split_path(path)
        try:
            if path in self._places:
                self._begin(path)
            while self._folders and self._folders[-1].parts != parts[:-1]:
                self._leave()
            if entry.type == "folder":
                self._folders.append(_Folder(entry, parts))
            if self._is_wanted(entry):
                self._make_folders()
                if entry.type != "folder":
                    self._make(member, parts)
        except OSError as error:
            raise PermanentFailure(
                f"{entry.path} cannot be restored: {explain(error)}", hint="nothing was put into place"
            ) from error

    def finish(self) -> None:
        """Give the last folders their modes."""
        try:
            while self._folders:
                self._leave()
        except OSError as error:
            raise PermanentFailure(f"a folder cannot be restored: {explain(error)}") from error

    def close(self) -> None:
        """Let go of all folders."""
        if self._descent is not None:
            self._descent.close()

    def _begin(self, root: str) -> None:
        self.finish()
        self.close()
        self._root, self._place = root, self._places[root]
        self._descent = Descent(os.dup(self._place.folder))

    @property
    def _here(self) -> Descent:
        if self._descent is None:
            raise Damaged("the first file of a backup lies in no tree of it")
        return self._descent

    def _make_folders(self) -> None:
        for folder in self._folders:
            if not folder.is_made:
                name = self._name(folder.parts)
                os.mkdir(name, 0o700, dir_fd=self._here.handle)
                self._here.enter(name)
                folder.is_made = True

    def _leave(self) -> None:
        folder = self._folders.pop()
        if folder.is_made:
            _set_facts(self._here.handle, folder.entry)
            self._here.leave()

    def _name(self, parts: tuple[str, ...]) -> str:
        return self._place.name if f"/{'/'.join(parts)}" == self._root else parts[-1]

    def _make(self, member: Member, parts: tuple[str, ...]) -> None:
        entry, name, folder = member.entry, self._name(parts), self._here.handle
        if entry.type == "symlink":
            os.symlink(entry.real_target, name, dir_fd=folder)
            _set_link_facts(name, folder, entry)
        elif entry.type == "hardlink":
            self._link(entry, name)
        else:
            handle = os.open(name, _CREATE, 0o600, dir_fd=folder)
            try:
                self._write(handle, member)
                _set_facts(handle, entry)
            finally:
                os.close(handle)
            self.done.bytes += entry.size
        self.done.files += 1

    def _link(self, entry: Entry, name: str) -> None:
        """Make a hard link to a file of this extraction; nothing else can be reached from its root by real folders."""
        inner = split_path(entry.real_target)[len(split_path(self._root)) :]
        try:
            with open_below(self._place.folder, (self._place.name, *inner[:-1])) as folder:
                is_file = stat.S_ISREG(os.lstat(inner[-1], dir_fd=folder).st_mode)
                if is_file:
                    here = self._here.handle
                    os.link(inner[-1], name, src_dir_fd=folder, dst_dir_fd=here, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            is_file = False
        if not is_file:
            raise Damaged(
                f"{entry.path} is a hard link to {entry.target}, which is no file of the backup",
                hint="nothing was put into place",
            )

    def _write(self, handle: int, member: Member) -> None:
        is_sparse = member.entry.allocated is not None
        written = 0
        for chunk in member.content:
            for piece in _pieces(chunk) if is_sparse else (chunk,):
                if is_sparse and piece == bytes(len(piece)):
                    os.lseek(handle, len(piece), os.SEEK_CUR)
                    continue
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(handle, rest) :]
            written += len(chunk)
            self._tell(written)
        if is_sparse:
            os.ftruncate(handle, written)

    def _tell(self, written: int) -> None:
        now = time.monotonic()
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            self._say(
                f"restoring files: {self.done.files} files, {format_bytes(self.done.bytes + written)} so far"
            )


def restored_ids(entry: Entry) -> tuple[int, int]:
    """Return the owner and group of an entry on this host: by name where known here, as GNU tar does, else by number."""
    return _uid(entry.user, entry.uid), _gid(entry.group, entry.gid)


def is_known(user: str) -> bool:
    """Whether this host has a user of that name; none is known."""
    return not user or _uid(user, -1) >= 0


def restored_mode(entry: Entry, uid: int, gid: int) -> int:
    """Return the mode of an entry for a file that belongs to a user and group; set-id bits for its own ones alone."""
    return entry.mode if (uid, gid) == restored_ids(entry) else entry.mode & ~_SET_ID


def _set_facts(handle: int, entry: Entry) -> None:
    """Set owner, mode and time, in this order: changing the owner takes set-id bits away."""
    uid, gid = restored_ids(entry)
    if os.geteuid() == 0:
        os.fchown(handle, uid, gid)
    else:
        with suppress(PermissionError):
            os.fchown(handle, -1, gid)
    status = os.fstat(handle)
    os.fchmod(handle, restored_mode(entry, status.st_uid, status.st_gid))
    os.utime(handle, ns=(entry.mtime_ns, entry.mtime_ns))


def _set_link_facts(name: str, folder: int, entry: Entry) -> None:
    if os.geteuid() == 0:
        os.chown(name, *restored_ids(entry), dir_fd=folder, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)


def _pieces(chunk: bytes) -> Iterable[bytes]:
    return (chunk[start : start + HOLE_BYTES] for start in range(0, len(chunk), HOLE_BYTES))


@lru_cache(maxsize=1024)
def _uid(name: str, number: int) -> int:
    try:
        return pwd.getpwnam(name).pw_uid if name else number
    except KeyError:
        return number


@lru_cache(maxsize=1024)
def _gid(name: str, number: int) -> int:
    try:
        return grp.getgrnam(name).gr_gid if name else number
    except KeyError:
        return number
