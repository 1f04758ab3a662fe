"""The stored parts of a backup, read: only hashed where the key is elsewhere, or opened. Not here: what they hold."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from herald_pipelines.backup.facts import Manifest, Part
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import Damaged, unseal
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.gpg import Passphrase, Recipients, Secret
from herald_pipelines.resources.object_store.base import ObjectMissing

MOST_SMALL_BYTES = 256 * 1024**2
"""Of a part that is read into memory: roles and settings of a server."""


@contextmanager
def open_part(repository: Repository, manifest: Manifest, name: str) -> Generator[Iterator[bytes]]:
    """Give the clear chunks of a part; see `unseal` for what taking them raises.

    Raises:
        Damaged: the manifest names no such part, or there is no such object.
        PermanentFailure: its key is not in the ring.
        StoreUnavailable, StoreRefused: it could not be read.
    """
    part = find_part(manifest, name)
    secret = find_secret(repository, manifest)
    try:
        with (
            repository.store.read(manifest.prefix + part.object) as stored,
            unseal(stored, secret, repository.gpg(secret), part, describe_part(part)) as clear,
        ):
            yield clear
    except ObjectMissing as error:
        raise Damaged(f"{describe_part(part)} is missing in the store") from error


def read_part(repository: Repository, manifest: Manifest, name: str) -> bytes:
    """Return a small part in clear.

    Raises:
        As `open_part`.
    """
    size = find_part(manifest, name).clear_bytes
    if size > MOST_SMALL_BYTES:
        raise Damaged(f"part {name} has {size} bytes, and no more than {MOST_SMALL_BYTES} are read at once")
    with open_part(repository, manifest, name) as clear:
        return b"".join(clear)


def hash_stored(
    repository: Repository, manifest: Manifest, name: str, on_progress: Callable[[int], None]
) -> None:
    """Read the stored bytes of a part and compare their hash.

    Args:
        repository: where it is.
        manifest: of the backup.
        name: of the part.
        on_progress: told how many bytes were read, often.

    Raises:
        Damaged: they are not what was written, or missing.
        StoreUnavailable, StoreRefused: they could not be read.
    """
    part = find_part(manifest, name)
    count, sha256 = 0, hashlib.sha256()
    try:
        with repository.store.read(manifest.prefix + part.object) as chunks:
            for chunk in chunks:
                count += len(chunk)
                sha256.update(chunk)
                on_progress(count)
    except ObjectMissing as error:
        raise Damaged(f"{describe_part(part)} is missing in the store") from error
    if (count, sha256.hexdigest()) != (part.stored_bytes, part.stored_sha256):
        raise Damaged(
            f"{describe_part(part)} is damaged in the store: {count} bytes that are not the {part.stored_bytes} written"
        )


def find_part(manifest: Manifest, name: str) -> Part:
    """Return a part by its name.

    Raises:
        Damaged: the manifest names none.
    """
    try:
        return manifest.part(name)
    except KeyError:
        raise Damaged(f"the manifest names no part {name!r}") from None


def find_secret(repository: Repository, manifest: Manifest) -> Secret:
    """Return what opens a backup. With public keys that is their private keys, whatever the ring holds now.

    Raises:
        PermanentFailure: its key is not in the ring.
    """
    if manifest.encryption.recipients:
        return Recipients(manifest.encryption.recipients)
    secret = repository.ring.find(manifest.encryption.key).secret
    if not isinstance(secret, Passphrase):
        raise PermanentFailure(
            f"{manifest.id} is encrypted with a passphrase that only signs now: key {manifest.encryption.key!r}",
            hint="give that secret in backup.passphrases too, and another one in backup.signing_secrets",
        )
    return secret


def require_private_key(repository: Repository, manifest: Manifest) -> None:
    """Refuse a backup that nothing here opens, before anything of it is read.

    Raises:
        UsageError: it is encrypted to public keys, and none of their private keys is here.
        PermanentFailure: its key is not in the ring.
    """
    secret = find_secret(repository, manifest)
    if isinstance(secret, Recipients) and not repository.keyring_gpg.can_decrypt(secret):
        raise UsageError(
            f"this host has no private key that opens {manifest.id} (recipients: {', '.join(secret.fingerprints)})",
            hint="verify in full and restore where it is, with the folder that gpg keeps it in at backup.gnupg_home",
        )


def describe_part(part: Part) -> str:
    """Return what a part is called in errors."""
    return f"part {part.name} ({part.object})"
