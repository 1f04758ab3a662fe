"""Encrypts a backup anew with the current key of the ring. At every moment one whole backup is visible.

New objects lie beside the old ones and are read back before the manifest changes over to them in one write; only then the
old ones go. Proofs are of the content, which stays the same: they are signed anew, so that the old key can leave the ring.
Not here: removing what a killed one left (sweep.py).
"""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from herald_pipelines.backup.catalog import read_again, read_signed
from herald_pipelines.backup.database import describe_encryption
from herald_pipelines.backup.facts import (
    MANIFEST,
    MOST_DOCUMENT_BYTES,
    PROOFS,
    Manifest,
    Part,
    original_name,
    rekeyed_name,
)
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.keys import Forged
from herald_pipelines.backup.lease import Making, leasing
from herald_pipelines.backup.parts import find_secret, open_part
from herald_pipelines.backup.progress import Progress
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.errors import GuardRefusal, PermanentFailure
from herald_pipelines.resources.gpg import Recipients, Secret
from herald_pipelines.resources.object_store.base import ObjectExists
from herald_pipelines.values import Say


def rekey_backup(
    repository: Repository, backup: Backup, *, run_id: str | None, now: datetime, say: Say
) -> Manifest:
    """Encrypt a backup with the current key, and return its manifest; one that is already is only tidied.

    Raises:
        Damaged: it is not whole; nothing changed.
        GuardRefusal: somebody else is at it.
        PermanentFailure: its key is not in the ring, or it cannot be read back here.
        HeraldError: of the kind that fits; the backup is readable as before, or rekeyed.
    """
    prefix = backup.manifest.prefix
    try:
        with leasing(repository, prefix, backup.manifest.id, run_id=run_id, now=now) as work:
            manifest, signed = read_again(repository, backup)
            if manifest.encryption != describe_encryption(work.key):
                _require_readable(repository, manifest, work.key.secret)
                manifest = _replace(work, manifest, signed, say)
            sign_proofs(repository, prefix)
            _remove_old(work, manifest)
    except ObjectExists:
        raise GuardRefusal(
            f"{backup.manifest.id} has a lease: somebody rekeys or deletes it, or was killed at it",
            hint="sweeping removes the leases of the dead after an hour",
        ) from None
    return manifest


def sign_proofs(repository: Repository, prefix: str) -> int:
    """Sign the proofs of a backup with the current key; returns how many had another signature that is valid.

    Raises:
        StoreUnavailable, StoreRefused: not all are, or not known to be.
    """
    store, count = repository.store, 0
    for each in list(store.list(f"{prefix}{PROOFS}/")):
        try:
            found = read_signed(repository, each.key)
        except Forged:
            continue  # the catalog names it as a problem
        if found.key != repository.ring.current.fingerprint:
            signed = repository.ring.sign(found.content)
            store.put(each.key, json.dumps(signed, indent=1).encode())
            count += 1
    return count


def _require_readable(repository: Repository, manifest: Manifest, current: Secret) -> None:
    """Refuse to begin where the private keys are not here: nothing could be opened, or read back."""
    for secret in (find_secret(repository, manifest), current):
        if isinstance(secret, Recipients) and not repository.keyring_gpg.can_decrypt(secret):
            raise PermanentFailure(
                f"this host has no private key of {', '.join(secret.fingerprints)}",
                hint="rekey where it is: what is written must be read back before the old objects go",
            )


def _replace(work: Making, manifest: Manifest, signed: Mapping[str, Any], say: Say) -> Manifest:
    """Write all parts anew, read them back, and let the manifest change over to them."""
    store, key = work.repository.store, work.prefix + MANIFEST
    token = secrets.token_hex(3)
    parts = tuple(_seal_again(work, manifest, part, token, say) for part in manifest.parts)
    renewed = manifest.model_copy(update={"encryption": describe_encryption(work.key), "parts": parts})
    for part in parts:
        say(f"reading {part.name} of {manifest.id} back")
        with open_part(work.repository, renewed, part.name) as clear:
            for _ in clear:
                pass
    # What a later version says of a backup stays in its manifest.
    content = {
        **signed,
        "encryption": renewed.encryption.model_dump(mode="json"),
        "parts": [
            {**old, **new.model_dump(mode="json")} for old, new in zip(signed["parts"], parts, strict=True)
        ],
    }
    before = store.get(key, most_bytes=MOST_DOCUMENT_BYTES)
    work.require_lease()
    work.is_publishing = True
    store.put(key, json.dumps(work.repository.ring.sign(content), indent=1).encode())
    if work.is_revoked():
        # We stood still between the two, and the new objects may be swept: the old ones are not.
        store.put(key, before)
        work.require_lease()
    work.is_publishing = False
    return renewed


def _seal_again(work: Making, manifest: Manifest, part: Part, token: str, say: Say) -> Part:
    progress = Progress(f"rekeying {part.name} of {manifest.id}", part.clear_bytes, say)
    with open_part(work.repository, manifest, part.name) as clear:
        new = work.seal_part(
            part.name, rekeyed_name(part.object, token), clear, progress.update, lambda: None
        )
    if (new.clear_bytes, new.clear_sha256) != (part.clear_bytes, part.clear_sha256):
        raise Damaged(f"part {part.name} came out differently: {new.clear_bytes} bytes in clear")
    return new.model_copy(update={"seconds": part.seconds})


def _remove_old(work: Making, manifest: Manifest) -> None:
    """Remove the objects of the parts that the manifest does not name any more."""
    named = {part.object for part in manifest.parts}
    ours = {original_name(name) for name in named}
    store = work.repository.store
    work.require_lease()
    for each in list(store.list(work.prefix)):
        name = each.key.removeprefix(work.prefix)
        if name not in named and original_name(name) in ours:
            store.delete(each.key)
