"""Makes a ring of keys from the settings, and tells what is wrong with it before anything is backed up."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from herald_pipelines.backup.keys import BackupKey, KeyRing, passphrase_key, recipients_key
from herald_pipelines.errors import UsageError
from herald_pipelines.resources.gpg import Gpg, Recipients
from herald_pipelines.resources.home import write_whole
from herald_pipelines.settings import SecretRef, Settings, resolve_secret

DEFAULT_KEY = "backup.key"
"""In the home: the passphrase of the embedded default."""


def default_key_file(settings: Settings) -> Path:
    """Return where the passphrase of the embedded default lies."""
    return settings.home / DEFAULT_KEY


def make_default_key(settings: Settings) -> bool:
    """Make the embedded default's passphrase where it is missing; true when it was."""
    path = default_key_file(settings)
    if settings.backup.store is not None or path.exists():
        return False
    write_whole(path, secrets.token_urlsafe(32) + "\n", mode=0o600)
    return True


def load_key_ring(settings: Settings, environ: Mapping[str, str]) -> KeyRing:
    """Resolve the secrets of the settings; nothing is kept of them but in the ring.

    Raises:
        UsageError: a secret cannot be resolved, is too weak, or is given twice.
    """
    backup = settings.backup
    passphrases = backup.passphrases
    if backup.store is None and not passphrases and not backup.recipients:
        passphrases = (SecretRef(file=default_key_file(settings)),)
    keys: list[BackupKey] = [
        recipients_key(
            Recipients(backup.recipients), resolve_secret(each, environ), f"the signing secret {each}"
        )
        for each in (backup.signing_secrets if backup.recipients else ())
    ]
    keys += [passphrase_key(resolve_secret(each, environ), f"the passphrase {each}") for each in passphrases]
    fingerprints = [key.fingerprint for key in keys]
    if len(set(fingerprints)) < len(fingerprints):
        raise UsageError("backup: the same secret is given twice", hint="each key of the ring is one secret")
    return KeyRing(tuple(keys))


def check_keys(settings: Settings, environ: Mapping[str, str]) -> KeyRing:
    """Load the ring and try the current key on gpg itself.

    Raises:
        UsageError: a key cannot be used.
    """
    ring = load_key_ring(settings, environ)
    secret = ring.current.secret
    if isinstance(secret, Recipients):
        problem = Gpg(settings.backup.gnupg_home).find_problem(secret)
        if problem is not None:
            raise UsageError(
                f"backup.recipients: {problem}",
                hint=f"`gpg --list-keys {' '.join(secret.fingerprints)}` shows what gpg knows of them",
            )
    return ring
