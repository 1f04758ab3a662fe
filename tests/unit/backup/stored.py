"""Backups as a catalog would have read them, without a store."""

from datetime import UTC, datetime, timedelta

from herald_pipelines.backup.facts import Encryption, Kind, Manifest, Part, Proof, Scope
from herald_pipelines.backup.inventory import Backup, Catalog

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)


def proof(at: datetime, scope: Scope = Scope.FULL, *, passed: bool = True, host: str = "db1") -> Proof:
    """Return a proof of nothing in particular."""
    return Proof(
        backup="x",
        content_sha256="c",
        manifest_sha256="m",
        scope=scope,
        passed=passed,
        reason=None if passed else "it is damaged",
        at=at,
        seconds=1,
        host=host,
    )


def stored(
    days_ago: float,
    *proofs: Scope,
    failed: bool = False,
    is_held: bool = False,
    missing: tuple[str, ...] = (),
    kind: Kind = Kind.DATABASE,
    name: str = "shop",
    host: str = "db1",
    stored_bytes: int = 100,
    number: int = 0,
    recipients: tuple[str, ...] = (),
    now: datetime = NOW,
) -> Backup:
    """Return a backup of some days ago, with passed proofs of some scopes, and a failed one after them."""
    at = now - timedelta(days=days_ago)
    found = tuple(proof(at + timedelta(minutes=index + 1), scope) for index, scope in enumerate(proofs))
    if failed:
        found = (*found, proof(at + timedelta(hours=1), Scope.FULL, passed=False))
    manifest = Manifest(
        id=f"{name}-{at:%Y%m%dT%H%M%SZ}-{number:06x}",
        kind=kind,
        name=name,
        platform="herald",
        host=host,
        started_at=at,
        finished_at=at + timedelta(minutes=1),
        window=None,
        run_id=None,
        versions={},
        settings_sha256="0",
        encryption=Encryption(key="k", recipients=recipients),
        parts=(
            Part(
                name="dump",
                object="dump.gpg",
                clear_bytes=10 * stored_bytes,
                clear_sha256="1",
                stored_bytes=stored_bytes,
                stored_sha256="2",
                seconds=1,
            ),
        ),
    )
    return Backup(manifest, "m", "c", found, is_held, missing)


def catalog(*backups: Backup) -> Catalog:
    """Return a catalog of backups, in order."""
    return Catalog(tuple(sorted(backups, key=lambda each: each.manifest.started_at)), (), ())
