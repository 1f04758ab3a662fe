"""Backs up trees of files: the application, or the configuration. One tar and its listing, sealed side by side.

Not here: the tar (tar_stream.py), what makes the backup visible (lease.py), the way back (extract.py).
"""

import os
import re
import secrets
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from herald_pipelines.backup.database import Origin, describe_encryption
from herald_pipelines.backup.facts import FileFacts, Kind, Manifest, Part, backup_prefix, new_backup_id
from herald_pipelines.backup.lease import Making, making
from herald_pipelines.backup.listing import Entry, write_line
from herald_pipelines.backup.names import compile_excludes, show_name
from herald_pipelines.backup.progress import Progress
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.roots import Roots, find_roots
from herald_pipelines.backup.streams import Feed, running
from herald_pipelines.backup.tar_stream import MOST_UNREADABLE, TreeArchive, TreeFacts
from herald_pipelines.backup.walk import Found, Left, OwnFolders, walk_trees
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.settings import FilesSettings
from herald_pipelines.values import Say, utc_now

FILES, LISTING = "files", "listing"
FILES_OBJECT, LISTING_OBJECT = "files.tar.zst.gpg", "listing.jsonl.zst.gpg"
BLOCK_BYTES = 256 * 1024
"""Of what goes into the seal: many small files in one piece."""
MOST_SAID = 20
_FILE_URL = "file://"


@dataclass(frozen=True)
class Trees:
    """What is to be backed up."""

    roots: Roots
    excludes: re.Pattern[str]
    own: OwnFolders
    survey: TreeFacts
    """What was met when all was looked at, before anything is read."""

    def walk(self) -> Iterator[Found | Left]:
        """Walk them."""
        return walk_trees(self.roots.paths, self.excludes, self.own)


def back_up_files(
    repository: Repository,
    kind: Kind,
    settings: FilesSettings,
    *,
    origin: Origin,
    now: datetime,
    say: Say,
    own_folders: Sequence[Path] = (),
) -> Manifest:
    """Make a backup of trees, and return its manifest once it is visible.

    Excludes are tar's: `*/node_modules/*` leaves out all that is in such a folder, and keeps the folder, empty. Sockets,
    devices, FIFOs and herald's own folders are left out and named; extended attributes and ACLs are not kept, and whose
    they are is named. Links are kept as links.

    Args:
        repository: where to.
        kind: application or configuration.
        settings: what of the file system.
        origin: for the manifest.
        now: when it begins.
        say: told of the progress, and of what is left out or changed while it was read.
        own_folders: herald's home, and whatever else must not be in a backup; store and work folder never are.

    Raises:
        UsageError: no path is set, or one cannot be backed up.
        PermanentFailure: a path is missing, a file cannot be read, or the lease was revoked.
        HeraldError: of the kind that fits what the store or gpg said.
    """
    trees = _survey(repository, kind, settings, own_folders)
    name = kind.value
    backup_id = new_backup_id(name, now, secrets.token_hex(3))
    prefix = backup_prefix(repository.platform, repository.host, kind, name, backup_id)
    progress = Progress(f"backing up the {name}", trees.survey.bytes, say)
    with making(repository, prefix, backup_id, run_id=origin.run_id, now=now) as work:
        parts, facts = _seal_trees(work, kind, trees, progress)
        manifest = Manifest(
            id=backup_id,
            kind=kind,
            name=name,
            platform=repository.platform,
            host=repository.host,
            started_at=now,
            finished_at=utc_now(),
            window=origin.window,
            run_id=origin.run_id,
            versions=origin.versions,
            settings_sha256=origin.settings_sha256,
            encryption=describe_encryption(work.key),
            parts=parts,
            files=FileFacts(
                roots=tuple(map(show_name, trees.roots.paths)),
                excludes=settings.excludes,
                files=facts.files,
                bytes=facts.bytes,
                skipped=(*trees.roots.remarks, *facts.skipped),
                changed=tuple(facts.changed),
                reread=tuple(facts.reread),
                unnamed=facts.unnamed,
            ),
        )
        work.publish(manifest)
    _tell(manifest, say)
    return manifest


def plan_files(
    repository: Repository, kind: Kind, settings: FilesSettings, *, own_folders: Sequence[Path] = ()
) -> dict[str, Any]:
    """Return what a backup would be of, after all that would refuse it has been asked; reads no file.

    Raises:
        As `back_up_files` before it writes anything.
    """
    trees = _survey(repository, kind, settings, own_folders)
    return {
        "store": repository.store.url,
        "key": repository.ring.current.fingerprint,
        "kind": kind.value,
        "roots": [show_name(path) for path in trees.roots.paths],
        "excludes": list(settings.excludes),
        "files": trees.survey.files,
        "size_bytes": trees.survey.bytes,
        "skipped": [list(each) for each in (*trees.roots.remarks, *trees.survey.skipped)],
    }


def own_folders_of(repository: Repository, others: Sequence[Path]) -> OwnFolders:
    """Return the folders that are herald's: the store where it is one, the work folder, and others."""
    url = repository.store.url
    store = [Path(unquote(url.removeprefix(_FILE_URL)))] if url.startswith(_FILE_URL) else []
    return OwnFolders.of([*store, repository.work_folder, *others])


def _survey(
    repository: Repository, kind: Kind, settings: FilesSettings, own_folders: Sequence[Path]
) -> Trees:
    if not settings.paths:
        raise UsageError(f"backup.{kind}.paths names nothing to back up")
    excludes = compile_excludes(settings.excludes)
    roots = find_roots(settings.paths, excludes)
    if not roots.paths:
        raise PermanentFailure(
            f"no path of backup.{kind}.paths matches anything: {', '.join(settings.paths)}",
            hint="an empty backup would look like a good one",
        )
    own = own_folders_of(repository, own_folders)
    for path in roots.paths:
        _require_foreign(path, own)
    trees = Trees(roots, excludes, own, TreeFacts())
    for each in trees.walk():
        look_at(each, trees.survey)
    _require_readable(trees.survey, kind)
    return trees


def look_at(each: Found | Left, survey: TreeFacts) -> None:
    """Count what was found in a tree, and take note of what cannot be read."""
    if isinstance(each, Left):
        if each.is_failure:
            survey.refuse(each.path, each.reason)
        else:
            survey.skip(each.path, each.reason)
        return
    if each.is_folder:
        return
    survey.files += 1
    if not stat.S_ISREG(each.status.st_mode):
        return
    survey.bytes += each.status.st_size
    may_read = os.access(each.name, os.R_OK, dir_fd=each.handle, effective_ids=True, follow_symlinks=False)
    if not may_read and _is_still_there(each):
        survey.refuse(each.path, "permission denied")


def _is_still_there(found: Found) -> bool:
    """Whether a file was not removed or replaced meanwhile, of which the backup itself tells later."""
    try:
        status = os.stat(found.name, dir_fd=found.handle, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(status, found.status)


def _require_foreign(path: str, own: OwnFolders) -> None:
    place = Path(path)
    for folder in (place, *place.parents):
        if own.holds(folder.lstat()):
            raise UsageError(
                f"{show_name(path)} is or lies in {show_name(str(folder))}, which belongs to herald itself",
                hint="store, work folder and herald's home are not backed up",
            )


def _require_readable(facts: TreeFacts, kind: Kind) -> None:
    if not facts.unreadable:
        return
    names = facts.unreadable[:MOST_UNREADABLE]
    more = "" if len(facts.unreadable) < MOST_UNREADABLE else ", and maybe more"
    raise PermanentFailure(
        f"{len(names)} files of the {kind} cannot be read: {', '.join(names)}{more}",
        hint="run herald as a user that may read them, or exclude them: a backup is never silently partial",
    )


def _seal_trees(
    work: Making, kind: Kind, trees: Trees, progress: Progress
) -> tuple[tuple[Part, Part], TreeFacts]:
    """Seal tar and listing at the same time; either fails both."""
    listing = _Listing(work)
    archive = TreeArchive(trees.walk(), listing.put)

    def pieces() -> Generator[bytes]:
        yield from in_blocks(archive.pieces())
        listing.end(is_whole=not archive.facts.unreadable)

    try:
        with running(listing.seal, listing.stop):
            files = work.seal_part(
                FILES, FILES_OBJECT, pieces(), progress.update, lambda: _require_readable(archive.facts, kind)
            )
    except _ListingFailed as error:
        raise (listing.error or error) from None
    if listing.part is None:
        raise listing.error or PermanentFailure("the listing could not be stored")
    progress.end(files.clear_bytes, files.stored_bytes, files.seconds)
    return (files, listing.part), archive.facts


class _ListingFailed(Exception):
    """The listing could not be stored, so the tar need not be either."""


class _Listing:
    """The listing on its way into the store, in a thread of its own."""

    def __init__(self, work: Making) -> None:
        self._work, self._lines, self._block = work, Feed(), bytearray()
        self._is_whole = False
        self.part: Part | None = None
        self.error: BaseException | None = None

    def put(self, entry: Entry) -> None:
        """Add an entry."""
        if self._lines.stopped:
            raise _ListingFailed
        self._block += write_line(entry)
        if len(self._block) >= BLOCK_BYTES:
            self._flush()

    def end(self, *, is_whole: bool) -> None:
        """Say that no more comes, and whether that was all."""
        self._is_whole = is_whole
        if self._block:
            self._flush()
        self._lines.put(b"")

    def seal(self) -> None:
        """Store what comes, to the end."""
        try:
            self.part = self._work.seal_part(
                LISTING, LISTING_OBJECT, iter(self._lines.read, b""), lambda _c, _s: None, self._require_whole
            )
        except BaseException as error:  # noqa: BLE001 - raised by the thread that seals the tar
            self.error = error
        self._lines.stop()

    def stop(self) -> None:
        """Let it end where it is; its part is then not stored."""
        self._lines.stop()

    def _flush(self) -> None:
        self._lines.put(bytes(self._block))
        self._block.clear()

    def _require_whole(self) -> None:
        if not self._is_whole:
            raise _ListingFailed


def in_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what many small pieces make together, in blocks."""
    block = bytearray()
    for piece in pieces:
        if len(piece) >= BLOCK_BYTES and not block:
            yield piece
            continue
        block += piece
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _tell(manifest: Manifest, say: Say) -> None:
    """Tell what is to be known of a backup besides that it is there."""
    facts = manifest.files
    if facts is None:
        return
    for path, reason in facts.skipped[:MOST_SAID]:
        say(f"{path} {reason}")
    for path in facts.reread[:MOST_SAID]:
        say(f"{path} changed while it was read, and was read again")
    for path in facts.changed[:MOST_SAID]:
        say(f"{path} changed each time it was read: its last state is in the backup, and may be inconsistent")
    left = max(0, len(facts.skipped) - MOST_SAID) + max(0, len(facts.reread) - MOST_SAID)
    left += max(0, len(facts.changed) - MOST_SAID) + facts.unnamed
    if left:
        say(f"{left} more of these are in the manifest and the listing")
