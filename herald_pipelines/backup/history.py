"""What the ops database keeps of backups: a copy of the store's manifests and proofs, for people, checks and plots.

The store is what counts. Whatever is missing here is copied again from a catalog; what is missing there is a loss, which the
checks name. Not here: reading the store (catalog.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.backup.catalog import content_sha256
from herald_pipelines.backup.facts import Kind, Manifest, Proof
from herald_pipelines.backup.inventory import Catalog
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Session


@dataclass(frozen=True)
class RecordedBackup:
    """A backup that should be in the store."""

    id: str
    kind: Kind
    name: str
    host: str
    started_at: datetime
    clear_bytes: int
    stored_bytes: int


def record_backup(ops: Session, manifest: Manifest, store_url: str) -> None:
    """Write a backup that became visible; a known one gets what rekeying changed.

    Args:
        ops: writable session in the ops database.
        manifest: of the backup.
        store_url: where it is.
    """
    ops.fetch("backup/record_backups", rows=to_json([_row(manifest, store_url)]))


def record_proof(ops: Session, proof: Proof) -> None:
    """Write what a verification found. Where its backup is not recorded, nothing is: `record_catalog` writes both later.

    Args:
        ops: writable session in the ops database.
        proof: as it lies in the store.
    """
    ops.fetch("backup/record_proofs", rows=to_json([_proof_row(proof)]))


def record_catalog(ops: Session, catalog: Catalog, store_url: str) -> None:
    """Write all backups and proofs of a store that are not known yet: after the ops database was lost, or not reached.

    Args:
        ops: writable session in the ops database.
        catalog: as it was read.
        store_url: whose it is.
    """
    ops.fetch(
        "backup/record_backups", rows=to_json([_row(each.manifest, store_url) for each in catalog.backups])
    )
    proofs = [_proof_row(proof) for each in catalog.backups for proof in each.proofs]
    ops.fetch("backup/record_proofs", rows=to_json(proofs))


def record_deletion(ops: Session, backup_id: str, reason: str) -> None:
    """Write that a backup is deleted, before anything of it is removed; committed by the caller before that too.

    Args:
        ops: writable session in the ops database.
        backup_id: of the backup.
        reason: of the plan.
    """
    ops.fetch("backup/record_deletion", id=backup_id, reason=reason)


def list_recorded(ops: Session, platform: str, store_url: str) -> tuple[RecordedBackup, ...]:
    """Return the backups that should be in a store, oldest first.

    Args:
        ops: session in the ops database.
        platform: of the settings.
        store_url: of the store.
    """
    return tuple(
        RecordedBackup(
            id=row["id"],
            kind=Kind(row["kind"]),
            name=row["database"],
            host=row["host"],
            started_at=row["started_at"],
            clear_bytes=row["clear_bytes"],
            stored_bytes=row["stored_bytes"],
        )
        for row in ops.fetch("backup/list_recorded", platform=platform, store_url=store_url)
    )


def find_lost(recorded: Iterable[RecordedBackup], catalog: Catalog) -> Sequence[str]:
    """Return the ids of backups that should be in the store and are not visible there."""
    visible = {each.manifest.id for each in catalog.backups}
    return [each.id for each in recorded if each.id not in visible]


def _row(manifest: Manifest, store_url: str) -> dict[str, Any]:
    database = manifest.database
    return {
        "id": manifest.id,
        "platform": manifest.platform,
        "host": manifest.host,
        "kind": manifest.kind.value,
        "database": manifest.name,
        "system_identifier": database.system_identifier if database else None,
        "database_oid": database.database_oid if database else None,
        "server_version": database.server_version if database else None,
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "window_key": manifest.window,
        "run_id": manifest.run_id,
        "clear_bytes": manifest.clear_bytes,
        "stored_bytes": manifest.stored_bytes,
        "seconds": (manifest.finished_at - manifest.started_at).total_seconds(),
        "content_sha256": content_sha256(manifest.model_dump(mode="json")),
        "key_fingerprint": manifest.encryption.key,
        "recipients": list(manifest.encryption.recipients),
        "store_url": store_url,
    }


def _proof_row(proof: Proof) -> dict[str, Any]:
    return {
        "backup_id": proof.backup,
        "content_sha256": proof.content_sha256,
        "scope": proof.scope.value,
        "passed": proof.passed,
        "reason": proof.reason,
        "at": proof.at,
        "seconds": proof.seconds,
        "host": proof.host,
        "details": dict(proof.details),
    }
