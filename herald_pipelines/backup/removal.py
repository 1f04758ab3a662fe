"""Removes a backup: its manifest first, so that it is gone at once, and then the rest; a kill leaves that to sweeping.

And the hold that keeps it from being removed. Not here: which ones are (retention.py).
"""

import json
from contextlib import suppress
from datetime import datetime

from herald_pipelines.backup.catalog import BackupGone, read_again
from herald_pipelines.backup.facts import HOLD, LEASE, MANIFEST
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.lease import leasing
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import GuardRefusal
from herald_pipelines.resources.object_store.base import ObjectExists, ObjectMissing


def delete_backup(repository: Repository, backup: Backup, *, run_id: str | None, now: datetime) -> int:
    """Delete a backup, and return how many objects went. The caller's record of it comes before.

    Raises:
        GuardRefusal: it is held, another backup than was planned, or somebody rekeys it: nothing was removed.
        TransientFailure: its lease was lost before the manifest was removed.
        StoreUnavailable, StoreRefused: not all is removed.
    """
    store, manifest = repository.store, backup.manifest
    try:
        with leasing(repository, manifest.prefix, manifest.id, run_id=run_id, now=now) as work:
            read_again(repository, backup)
            found = [each.key for each in store.list(manifest.prefix)]
            if manifest.prefix + HOLD in found:
                raise GuardRefusal(f"{manifest.id} is held", hint="lift its hold first")
            work.require_lease()
            store.delete(manifest.prefix + MANIFEST)
            others = [
                key for key in found if key not in (manifest.prefix + MANIFEST, manifest.prefix + LEASE)
            ]
            for key in others:
                store.delete(key)
            uploads = store.abandon_uploads(manifest.prefix)
    except ObjectExists:
        raise GuardRefusal(
            f"{manifest.id} has a lease: somebody rekeys or deletes it, or was killed at it",
            hint="sweeping removes the leases of the dead after an hour",
        ) from None
    return len(others) + 1 + uploads


def place_hold(repository: Repository, backup: Backup, reason: str, *, now: datetime) -> None:
    """Keep a backup from being deleted, whatever its age; a second hold replaces the first.

    Whoever deletes takes the lease before looking for a hold, and here it is the other way round: one sees the other.

    Raises:
        BackupGone: it was deleted meanwhile: there is nothing to hold.
        GuardRefusal: somebody deletes or rekeys it: whether the hold came in time is not known yet.
        StoreUnavailable, StoreRefused: it is not held, or not known to be.
    """
    content = {"format": 1, "reason": reason, "at": now.isoformat(), "host": repository.host}
    store, prefix = repository.store, backup.manifest.prefix
    store.put(prefix + HOLD, json.dumps(content).encode())
    is_leased = False
    with suppress(ObjectMissing):
        store.stat(prefix + LEASE)
        is_leased = True
    try:
        read_again(repository, backup)
    except BackupGone:
        store.delete(prefix + HOLD)
        raise
    if is_leased:
        raise GuardRefusal(
            f"{backup.manifest.id} has a lease: somebody deletes or rekeys it, or was killed at it",
            hint="the hold is written; see in `herald backup list` whether the backup is still there",
        )


def lift_hold(repository: Repository, backup: Backup) -> None:
    """Let a backup be deleted again when its time has come.

    Raises:
        StoreUnavailable, StoreRefused: it is still held, or not known not to be.
    """
    repository.store.delete(backup.manifest.prefix + HOLD)
