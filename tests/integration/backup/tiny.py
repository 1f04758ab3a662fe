"""Small backups for tests of what is done with them, of bytes that no database made; and a worker that can be killed.

python tiny.py retain FOLDER    deletes what the plan says, in a process of its own
python tiny.py sweep FOLDER     sweeps
python tiny.py rekey FOLDER     encrypts every backup with the first of two keys
"""

import hashlib
import os
import random
import secrets
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from making import PASSPHRASE, file_repository

from herald_pipelines.backup.catalog import content_sha256, manifest_sha256, read_catalog, write_document
from herald_pipelines.backup.database import describe_encryption
from herald_pipelines.backup.facts import (
    MANIFEST,
    Kind,
    Manifest,
    Part,
    Proof,
    Scope,
    backup_prefix,
    new_backup_id,
)
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.rekey import rekey_backup
from herald_pipelines.backup.removal import delete_backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.retention import plan_retention
from herald_pipelines.backup.sealing import seal
from herald_pipelines.backup.sweep import sweep
from herald_pipelines.resources.gpg import keyless_gpg
from herald_pipelines.settings.backup import RetentionSettings
from herald_processes import Forked, start_python

NEW_PASSPHRASE = "Zq4nVx8sLw2TgYb6HcRk0mPjDf3EaUoJ"
NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
SETTINGS = RetentionSettings(keep_days=30, keep_count=1)


def put_backup(
    repo: Repository,
    days_ago: float,
    *scopes: Scope,
    parts: Mapping[str, bytes] | None = None,
    name: str = "shop",
    is_sealed: bool = False,
    now: datetime = NOW,
) -> Manifest:
    """Put a backup into the store with its proofs; unless sealed, its parts are no encryption of anything."""
    at = now - timedelta(days=days_ago)
    backup_id = new_backup_id(name, at, secrets.token_hex(3))
    prefix = backup_prefix(repo.platform, repo.host, Kind.APPLICATION, name, backup_id)
    made = [
        _put_part(repo, prefix, part, content, is_sealed=is_sealed)
        for part, content in (parts or {"files": b"a tree", "listing": b"its files"}).items()
    ]
    manifest = Manifest(
        id=backup_id,
        kind=Kind.APPLICATION,
        name=name,
        platform=repo.platform,
        host=repo.host,
        started_at=at,
        finished_at=at + timedelta(minutes=1),
        window=None,
        run_id=None,
        versions={"herald": "test"},
        settings_sha256="0" * 64,
        encryption=describe_encryption(repo.ring.current),
        parts=tuple(made),
    )
    write_document(repo, prefix + MANIFEST, manifest, replace=False)
    for scope in scopes:
        put_proof(repo, manifest, scope)
    return manifest


def _put_part(repo: Repository, prefix: str, name: str, content: bytes, *, is_sealed: bool) -> Part:
    object_name = f"{name}.zst.gpg"
    if is_sealed:
        secret = repo.ring.current.secret
        with repo.store.upload(prefix + object_name) as upload:
            sealed = seal(iter([content]), upload, secret, repo.gpg(secret))
            upload.complete()
        facts = {key: getattr(sealed, key) for key in Part.model_fields if hasattr(sealed, key)}
        return Part(name=name, object=object_name, **facts)
    repo.store.put(prefix + object_name, content)
    digest = hashlib.sha256(content).hexdigest()
    return Part(
        name=name,
        object=object_name,
        clear_bytes=len(content),
        clear_sha256=digest,
        stored_bytes=len(content),
        stored_sha256=digest,
        seconds=0,
    )


def put_proof(repo: Repository, manifest: Manifest, scope: Scope, *, passed: bool = True) -> None:
    """Put a proof beside a backup, signed, which nobody looked for."""
    signed = manifest.model_dump(mode="json")
    at = manifest.finished_at
    proof = Proof(
        backup=manifest.id,
        content_sha256=content_sha256(signed),
        manifest_sha256=manifest_sha256(signed),
        scope=scope,
        passed=passed,
        reason=None if passed else "it is damaged",
        at=at,
        seconds=1,
        host=repo.host,
    )
    key = f"{manifest.prefix}proofs/{at:%Y%m%dT%H%M%SZ}-{scope}-{secrets.token_hex(4)}.json"
    write_document(repo, key, proof, replace=False)


def only_backup(repo: Repository) -> Backup:
    """Return the one backup of a store in which nothing is wrong."""
    catalog = read_catalog(repo)
    assert catalog.problems == ()
    (backup,) = catalog.backups
    return backup


def file_of(folder: Path, key: str) -> Path:
    """Return where an object of the store in a test's folder lies."""
    return folder / "store" / key


def start_worker(what: str, folder: Path) -> Forked:
    """Start one of the workers above; returns when it is about to begin."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = start_python(__file__, what, str(folder), env=env)
    worker.wait_for("ready", 120)
    return worker


def kill_sometime(worker: Forked, chance: random.Random, took: float) -> tuple[bool, float]:
    """Kill it at a random moment of the time that one took; the first is let be, and timed.

    Returns whether it was cut short, and how long one takes, however fast the machine is.
    """
    if not took:
        began = time.monotonic()
        worker.communicate(timeout=120)
        return False, time.monotonic() - began
    time.sleep(chance.uniform(0, took))
    return not kill(worker), took


def kill(worker: Forked) -> bool:
    """Kill it and its gpg as a machine does that loses its power; returns whether it had ended by itself."""
    ended = worker.poll() is not None
    worker.kill()
    worker.communicate(timeout=60)
    return ended


def work(what: str, folder: Path) -> None:
    """Do the work of a worker."""
    with keyless_gpg() as gpg:
        passphrases = (NEW_PASSPHRASE, PASSPHRASE) if what == "rekey" else (PASSPHRASE,)
        repo = file_repository(folder, gpg, passphrases)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        catalog = read_catalog(repo)
        if what == "retain":
            for each in plan_retention(catalog, SETTINGS, NOW).doomed:
                delete_backup(repo, each.backup, run_id=None, now=NOW)
        elif what == "sweep":
            sweep(repo, catalog, now=NOW, known=(), say=lambda _text: None, pause=lambda _seconds: None)
        else:
            for backup in catalog.backups:
                rekey_backup(repo, backup, run_id=None, now=NOW, say=lambda _text: None)


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]))
