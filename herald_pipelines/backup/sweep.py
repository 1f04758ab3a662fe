"""Removes what the dead left in the store: backups without a manifest, half deleted ones, leases, objects of a rekeying.

Never anything of the living. Whoever writes holds a lease and renews it. Here it is looked at twice, then revoked, looked at
again, and only what is still revoked is removed; its holder, if it lives after all, finds out before it makes anything
visible (lease.py). Not here: backups that are whole (retention.py).
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from herald_pipelines.backup.catalog import read_manifest, write_document
from herald_pipelines.backup.facts import LEASE, MANIFEST, Lease, original_name
from herald_pipelines.backup.inventory import Backup, Catalog
from herald_pipelines.backup.lease import BEAT_SECONDS, MOST_LEASE_BYTES, REVOKED, leasing, remove_unfinished
from herald_pipelines.backup.repository import Repository
from herald_pipelines.resources.object_store.base import ObjectExists, ObjectMissing, StoreRefused
from herald_pipelines.values import Say, utc_now

GRACE = timedelta(hours=1)
"""Since the newest object of a folder: a living one renews its lease every half minute."""
PAUSE_SECONDS = 2 * BEAT_SECONDS


@dataclass(frozen=True)
class Swept:
    """What became of one folder."""

    prefix: str
    removed: int
    """Objects and interrupted uploads."""
    reason: str
    """Why it was left, or what it was."""


def sweep(
    repository: Repository,
    catalog: Catalog,
    *,
    now: datetime,
    known: Collection[str],
    say: Say,
    pause: Callable[[float], None],
    grace: timedelta = GRACE,
) -> tuple[Swept, ...]:
    """Remove what is left of the dead, and return what became of each folder that was looked at.

    Args:
        repository: where it lies.
        catalog: as it was read a moment ago.
        now: for the leases that are taken.
        known: ids of backups that the ops database knows as made and not deleted: a manifest that is gone from one of them
            is a loss, and what is left of it may be needed.
        say: told what is removed.
        pause: waits so many seconds.
        grace: how old the newest object of a folder must be, by the store's clock.

    Raises:
        StoreUnavailable, StoreRefused: the store could not be read, or not all is removed.
    """
    store_now = read_store_clock(repository)
    left: list[Swept] = []
    folders: list[_Folder] = []
    for folder in _folders(catalog):
        if folder.backup is None and folder.name in known:
            left.append(Swept(folder.prefix, 0, "its manifest is gone, and nobody deleted it"))
        elif store_now - folder.modified_at < grace:
            left.append(Swept(folder.prefix, 0, "young"))
        else:
            folders.append(folder)
    dead = _find_dead(repository, folders, now, pause)
    for folder in folders:
        if folder.prefix in dead:
            left.append(_remove(repository, folder, now, say))
        else:
            left.append(Swept(folder.prefix, 0, "in use"))
    return tuple(left)


def read_store_clock(repository: Repository) -> datetime:
    """Return the time by the store's clock, by which it says how old its objects are.

    Raises:
        StoreUnavailable, StoreRefused: it cannot be written to.
    """
    key = f"clock/{repository.host}"
    repository.store.put(key, b"")
    return repository.store.stat(key).modified_at


def find_skew(repository: Repository) -> timedelta | None:
    """Return by how much the store's clock is ahead of ours; None where nothing may be written to ask it.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    try:
        return read_store_clock(repository) - utc_now()
    except StoreRefused:
        return None


@dataclass(frozen=True)
class _Folder:
    prefix: str
    modified_at: datetime
    has_lease: bool
    backup: Backup | None

    @property
    def name(self) -> str:
        return self.prefix.split("/")[-2]


def _folders(catalog: Catalog) -> Iterator[_Folder]:
    for each in catalog.unfinished:
        yield _Folder(each.prefix, each.modified_at, each.has_lease, None)
    for each in catalog.backups:
        if each.extra:
            prefix = each.manifest.prefix
            yield _Folder(
                prefix,
                max(extra.modified_at for extra in each.extra),
                any(extra.key == prefix + LEASE for extra in each.extra),
                each,
            )


def _find_dead(
    repository: Repository, folders: Sequence[_Folder], now: datetime, pause: Callable[[float], None]
) -> frozenset[str]:
    """Return the folders that nobody renews a lease of; those that had one have it revoked."""
    first = {each.prefix: _read_lease(repository, each.prefix) for each in folders}
    if any(lease is not None for lease in first.values()):
        pause(PAUSE_SECONDS)
    quiet = {prefix for prefix, lease in first.items() if _read_lease(repository, prefix) == lease}
    revoked: set[str] = set()
    for prefix in quiet:
        lease = first[prefix]
        if lease is not None:
            _revoke(repository, prefix, lease, now)
            revoked.add(prefix)
    if revoked:
        # A beat that was on its way may have overwritten it: then its holder lives.
        pause(PAUSE_SECONDS)
    return frozenset(
        prefix for prefix in quiet if prefix not in revoked or _is_revoked(_read_lease(repository, prefix))
    )


def _remove(repository: Repository, folder: _Folder, now: datetime, say: Say) -> Swept:
    if folder.backup is not None:
        return _tidy(repository, folder, folder.backup, now, say)
    with suppress(ObjectMissing):
        repository.store.stat(folder.prefix + MANIFEST)
        return Swept(folder.prefix, 0, "became a backup meanwhile")
    say(f"removing what is left of {folder.name}")
    return Swept(
        folder.prefix, remove_unfinished(repository, folder.prefix), "was never finished, or deleted"
    )


def _tidy(repository: Repository, folder: _Folder, backup: Backup, now: datetime, say: Say) -> Swept:
    """Remove a dead lease beside a manifest, and objects of its parts that it does not name any more."""
    store, prefix = repository.store, folder.prefix
    if not folder.has_lease:
        try:
            with leasing(repository, prefix, folder.name, run_id=None, now=now):
                return Swept(prefix, _remove_orphans(repository, backup, say), "left by a rekeying")
        except ObjectExists:
            return Swept(prefix, 0, "in use")
    count = _remove_orphans(repository, backup, say) + store.abandon_uploads(prefix)
    # Another sweep may have removed it, and somebody have taken a new one.
    if _is_revoked(_read_lease(repository, prefix)):
        store.delete(prefix + LEASE)
        count += 1
    return Swept(prefix, count, "left by somebody who was killed")


def _remove_orphans(repository: Repository, backup: Backup, say: Say) -> int:
    """Remove the objects that the catalog saw and no manifest names: what is newer is somebody's at work."""
    prefix = backup.manifest.prefix
    manifest, _ = read_manifest(repository, prefix)
    named = {part.object for part in manifest.parts}
    ours = {original_name(name) for name in named}
    count = 0
    for each in backup.extra:
        name = each.key.removeprefix(prefix)
        if name not in named and original_name(name) in ours:
            say(f"removing {each.key}, which its manifest does not name")
            repository.store.delete(each.key)
            count += 1
    return count


def _is_revoked(lease: bytes | None) -> bool:
    return lease is not None and REVOKED in lease


def _read_lease(repository: Repository, prefix: str) -> bytes | None:
    try:
        return repository.store.get(prefix + LEASE, most_bytes=MOST_LEASE_BYTES)
    except ObjectMissing:
        return None


def _revoke(repository: Repository, prefix: str, text: bytes, now: datetime) -> None:
    """Write that whoever holds a lease has lost it; a lease that nobody can read is replaced."""
    name = prefix.split("/")[-2]
    try:
        lease = Lease.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        lease = Lease(backup=name, host=repository.host, pid=0, run_id=None, started_at=now, beat=0)
    write_document(repository, prefix + LEASE, lease.model_copy(update={"revoked": True}), replace=True)
