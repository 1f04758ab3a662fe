"""Where the backups of a platform are and what opens them, put together from the settings. Opens nothing by being made."""

import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from herald_pipelines.backup.keys import KeyRing
from herald_pipelines.backup.ring import load_key_ring
from herald_pipelines.errors import UsageError
from herald_pipelines.resources.gpg import Gpg, Passphrase, Secret, keyless_gpg
from herald_pipelines.resources.object_store.base import ObjectStore
from herald_pipelines.resources.object_store.open_store import S3Options, open_store
from herald_pipelines.resources.own_folder import own_folder
from herald_pipelines.settings import Settings, resolve_secret

DEFAULT_STORE = "store"
"""In the home: the store of the embedded default."""


@dataclass(frozen=True)
class Repository:
    """The store with its keys, and our own place in it."""

    store: ObjectStore
    ring: KeyRing = field(repr=False)
    platform: str
    host: str
    passphrase_gpg: Gpg
    """With no keys of its own."""
    keyring_gpg: Gpg
    """With the operator's public and private keys."""
    work_folder: Path
    """For what must lie on this disk for a while, 0700."""

    def gpg(self, secret: Secret) -> Gpg:
        """Return the gpg that a secret is used with."""
        return self.passphrase_gpg if isinstance(secret, Passphrase) else self.keyring_gpg


def store_url(settings: Settings) -> str:
    """Return the url of the store: of the settings, else the embedded default's."""
    return settings.backup.store or (settings.home / DEFAULT_STORE).as_uri()


@contextmanager
def repository(settings: Settings, environ: Mapping[str, str]) -> Generator[Repository]:
    """Put it together for the time of a block.

    Raises:
        UsageError: a secret cannot be resolved, or the store's url is none.
    """
    backup = settings.backup
    work_folder = backup.work_folder or settings.home / "work"
    try:
        work_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the work folder {work_folder} cannot be made: {(error.strerror or '').lower()}",
            hint="let backup.work_folder name one that this user may write",
        ) from error
    with keyless_gpg(work_folder) as gpg, own_folder(work_folder, "upload-") as spool:
        yield Repository(
            store=open_store(store_url(settings), _s3_options(settings, environ), work_folder=spool),
            ring=load_key_ring(settings, environ),
            platform=backup.platform,
            host=backup.host or host_name(),
            passphrase_gpg=gpg,
            keyring_gpg=Gpg(backup.gnupg_home),
            work_folder=work_folder,
        )


def host_name() -> str:
    """Return this host's name as a part of an object's name."""
    name = "".join(
        each if (each.isalnum() and each.isascii()) or each in "._-" else "-" for each in socket.gethostname()
    )
    return name.strip("._-")[:63] or "localhost"


def _s3_options(settings: Settings, environ: Mapping[str, str]) -> S3Options:
    given = settings.backup.s3
    return S3Options(
        endpoint_url=given.endpoint_url,
        region=given.region,
        sse=None if given.sse == "none" else given.sse,
        kms_key_id=given.kms_key_id,
        access_key_id=resolve_secret(given.access_key_id, environ) if given.access_key_id else None,
        secret_access_key=resolve_secret(given.secret_access_key, environ)
        if given.secret_access_key
        else None,
    )
