"""Verifies a backup in one pass from the store, without a server: nothing in clear touches a disk.

Every byte is fetched, decrypted and decompressed, both hashes are compared, and what the archive lists is compared with the
manifest. Where the private key is elsewhere, the stored bytes are hashed. Not here: restoring it (deep.py).
"""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from herald_pipelines.backup.database import GLOBALS
from herald_pipelines.backup.dump_listing import find_missing, list_archive
from herald_pipelines.backup.facts import DatabaseFacts, Manifest, Part, Proof, Scope
from herald_pipelines.backup.files import FILES, LISTING
from herald_pipelines.backup.files_archive import reading_files
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.parts import hash_stored, open_part, read_part, require_private_key
from herald_pipelines.backup.progress import Progress
from herald_pipelines.backup.proofs import Unproven, conclude
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.clients import ClientPrograms, find_clients
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.gpg import GpgFailed
from herald_pipelines.resources.object_store.base import ObjectMissing
from herald_pipelines.settings import BackupSettings
from herald_pipelines.values import Say

MOST_NAMED = 20
"""Tables that a reason names."""


def widest_scope(manifest: Manifest, settings: BackupSettings, host: str) -> Scope:
    """Return how far a host can verify a backup without a server: public keys alone open nothing."""
    if manifest.encryption.recipients and host != settings.full_verification_host:
        return Scope.STORED
    return Scope.FULL


def verify_backup(
    repository: Repository,
    backup: Backup,
    scope: Scope,
    programs: Mapping[int, Path],
    *,
    now: datetime,
    say: Say,
) -> Proof:
    """Verify a backup, and return the proof that is beside it now, whatever the verdict.

    Args:
        repository: where it is.
        backup: as the catalog has it.
        scope: STORED or FULL (see `widest_scope`).
        programs: folders of PostgreSQL's programs by major version, of the settings.
        now: when it begins.
        say: told of the progress.

    Raises:
        UsageError: no fitting pg_restore, or no private key here.
        StoreUnavailable, StoreRefused: the store could not be read: that is no verdict.
        HeraldError: whatever else hinders a verdict.
    """
    manifest = backup.manifest
    if scope is Scope.RESTORED:
        raise UsageError("verifying does not restore", hint="deep verification does")
    clients = require_means(repository, manifest, programs) if scope is Scope.FULL else None
    say(f"verifying {manifest.id} ({scope})")
    read = verify_parts if scope is Scope.FULL else _verify_stored
    return conclude(repository, backup, scope, lambda: read(repository, manifest, clients, say), now=now)


def require_means(
    repository: Repository, manifest: Manifest, programs: Mapping[int, Path], *, with_server: bool = False
) -> ClientPrograms | None:
    """Return the programs that a backup is opened with, before anything is read of it; none where it is no dump.

    Raises:
        UsageError: they are not here, or the private key is not.
        PermanentFailure: its key is not in the ring.
    """
    require_private_key(repository, manifest)
    if manifest.database is None:
        return None
    return find_clients(manifest.database.server_version // 10000, programs, with_server=with_server)


def verify_parts(
    repository: Repository, manifest: Manifest, clients: ClientPrograms | None, say: Say
) -> dict[str, Any]:
    """Open all parts of a backup, to their end, and return how many seconds each took, and what the archive lists.

    Raises:
        Damaged: one is not what was backed up, or the archive lacks a table.
        HeraldError: whatever hinders a verdict.
    """
    details: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    entries: list[str] = []
    for part in manifest.parts:
        started = time.monotonic()
        try:
            if clients is not None and part in manifest.archives:
                entries += _list_entries(repository, manifest, part, clients, say)
            else:
                details |= _verify_part(repository, manifest, part, say)
        except Damaged as error:
            if isinstance(error.__cause__, GpgFailed):
                raise _explain(repository, manifest, part, error) from error
            raise
        seconds[part.name] = round(time.monotonic() - started, 3)
    if clients is not None and manifest.database is not None and manifest.archives:
        details |= _require_tables(manifest.database, entries)
    return {**details, "part_seconds": seconds}


def _verify_part(repository: Repository, manifest: Manifest, part: Part, say: Say) -> dict[str, Any]:
    if manifest.files is not None and part.name in (FILES, LISTING):
        return _verify_files(repository, manifest, part)
    if part.name == GLOBALS:
        _require_globals(read_part(repository, manifest, GLOBALS))
        return {}
    with open_part(repository, manifest, part.name) as clear:
        for _ in _telling(clear, manifest, part, say):
            pass
    return {}


def _list_entries(
    repository: Repository, manifest: Manifest, part: Part, clients: ClientPrograms, say: Say
) -> list[str]:
    with open_part(repository, manifest, part.name) as clear:
        try:
            return list_archive(_telling(clear, manifest, part, say), clients)
        except CommandFailed as error:
            if error.result is None or error.result.code < 0:
                raise  # it was not started, or was killed as for want of memory: that is no verdict
            raise Unproven(f"the archive cannot be listed: {error.message}", {}) from error


def _require_tables(database: DatabaseFacts, entries: list[str]) -> dict[str, Any]:
    """Compare what all archives list with what was to be dumped."""
    missing = find_missing(database.tables, entries, of_standby=database.is_in_recovery)
    details = {"entries": len(entries), "tables": len(database.tables)}
    if missing:
        raise Unproven(
            f"the archive lacks {len(missing)} of what its manifest names: {', '.join(missing[:MOST_NAMED])}",
            {**details, "missing": missing[:MOST_NAMED]},
        )
    return details


def _verify_files(repository: Repository, manifest: Manifest, part: Part) -> dict[str, Any]:
    """Take the tar in step with its listing, which is read with it."""
    if part.name == LISTING:
        return {}
    count = 0
    try:
        with reading_files(repository, manifest) as members:
            for _ in members:
                count += 1
    except ObjectMissing as error:
        raise Damaged(f"an object of the tree is missing in the store: {error.message}") from error
    return {"members": count}


def _verify_stored(
    repository: Repository, manifest: Manifest, _clients: ClientPrograms | None, say: Say
) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    for part in manifest.parts:
        started = time.monotonic()
        progress = Progress(f"hashing {part.name} of {manifest.id}", part.stored_bytes, say)

        def told(count: int, progress: Progress = progress) -> None:
            progress.update(count, count)

        hash_stored(repository, manifest, part.name, told)
        seconds[part.name] = round(time.monotonic() - started, 3)
    return {"part_seconds": seconds}


def _explain(repository: Repository, manifest: Manifest, part: Part, error: Damaged) -> Exception:
    """Return which side is to blame where gpg gave up, which may have been before all bytes were read."""
    try:
        hash_stored(repository, manifest, part.name, lambda _count: None)
    except Damaged as damaged:
        return damaged
    if manifest.encryption.recipients:
        # A private key whose passphrase nobody typed, more likely than a wrong encryption.
        return PermanentFailure(
            f"{error.message}; its stored bytes are those that were written",
            hint="does gpg open it by hand, with backup.gnupg_home as its --homedir?",
        )
    return Damaged(f"{error.message}; its stored bytes are those that were written")


def _telling(chunks: Iterator[bytes], manifest: Manifest, part: Part, say: Say) -> Iterator[bytes]:
    progress = Progress(f"verifying {part.name} of {manifest.id}", part.clear_bytes, say)
    count = 0
    for chunk in chunks:
        count += len(chunk)
        progress.update(count, 0)
        yield chunk


def _require_globals(text: bytes) -> None:
    try:
        content: object = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(cast("dict[str, object]", content).get("roles"), list):
        raise Unproven(f"part {GLOBALS} holds no roles", {})
