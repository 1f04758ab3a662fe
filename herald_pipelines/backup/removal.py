"""Removes a backup: its manifest first, so that it is gone at once, and then the rest; a kill leaves that to sweeping.

And the hold that keeps it from being removed. Not here: which ones are (retention.py).
"""

import json
from datetime import datetime

from herald_pipelines.backup.catalog import content_sha256, read_manifest
from herald_pipelines.backup.facts import HOLD, LEASE, MANIFEST
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.lease import leasing
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import GuardRefusal, TransientFailure
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
            _require_unchanged(repository, backup)
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

    Raises:
        StoreUnavailable, StoreRefused: it is not held, or not known to be.
    """
    content = {"format": 1, "reason": reason, "at": now.isoformat(), "host": repository.host}
    repository.store.put(backup.manifest.prefix + HOLD, json.dumps(content).encode())


def lift_hold(repository: Repository, backup: Backup) -> None:
    """Let a backup be deleted again when its time has come.

    Raises:
        StoreUnavailable, StoreRefused: it is still held, or not known not to be.
    """
    repository.store.delete(backup.manifest.prefix + HOLD)


def _require_unchanged(repository: Repository, backup: Backup) -> None:
    manifest = backup.manifest
    try:
        _, signed = read_manifest(repository, manifest.prefix)
    except ObjectMissing:
        raise TransientFailure(f"{manifest.id} was deleted by somebody else") from None
    if content_sha256(signed) != backup.content_sha256:
        raise GuardRefusal(f"{manifest.id} is another backup than the one that was planned for")
