"""The ring of keys: the first encrypts and signs, every one opens and verifies what it once made.

From each secret two independent keys are derived (scrypt): one authenticates manifests and proofs (HMAC-SHA256), one is
only there to be named: its hash is the fingerprint. gpg takes the passphrase itself, so that gpg alone can decrypt.
Not here: reading settings (ring.py makes a ring of them).
"""

import hashlib
import hmac
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.gpg import Passphrase, Recipients, Secret

LEAST_BITS = 80.0
"""Of a passphrase, by the entropy of its letters: 80 bits withstand offline guessing (NIST SP 800-131A's old minimum of
security strength); `openssl rand -base64 32` has about 200."""
# 16 MiB and some 50 ms each: as RFC 7914 recommends for interactive use.
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 64}
SALT = b"herald-pipelines backup keys, version 1"
SIGNATURE = "signature"


class Forged(PermanentFailure):
    """A document of the store is not what its writer signed, or nobody's whose key we have."""


@dataclass(frozen=True)
class BackupKey:
    """One key of the ring."""

    fingerprint: str
    """16 hex digits; tells nothing of the secret."""
    secret: Secret = field(repr=False)
    """What gpg gets."""
    authentication: bytes = field(repr=False)
    """Key of the HMAC."""


@dataclass(frozen=True)
class KeyRing:
    """All keys, the current one first."""

    keys: tuple[BackupKey, ...]

    @property
    def current(self) -> BackupKey:
        """The key of new backups."""
        return self.keys[0]

    def find(self, fingerprint: str) -> BackupKey:
        """Return the key of a fingerprint.

        Raises:
            PermanentFailure: it is not in the ring.
        """
        for key in self.keys:
            if key.fingerprint == fingerprint:
                return key
        known = ", ".join(key.fingerprint for key in self.keys)
        raise PermanentFailure(
            f"key {fingerprint!r} is not in the ring (known: {known})",
            hint="add the passphrase that was in force then to backup.passphrases",
        )

    def sign(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document with the current key's signature."""
        return _sign(document, self.current)

    def verify(self, document: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Return a signed document without its signature.

        Args:
            document: as it was read.
            what: what it is, for the error.

        Raises:
            Forged: it has no signature, another one, or one of a key that is not in the ring.
        """
        given: object = document.get(SIGNATURE)
        signature = cast("dict[str, object]", given) if isinstance(given, dict) else {}
        key, mac = signature.get("key"), signature.get("hmac_sha256")
        if not isinstance(key, str) or not isinstance(mac, str):
            raise Forged(f"{what} is not signed")
        try:
            expected = _sign(document, self.find(key))[SIGNATURE]["hmac_sha256"]
        except PermanentFailure as error:
            raise Forged(
                f"{what} is signed by a key that is not in the ring: {key!r}", hint=error.hint
            ) from None
        if not hmac.compare_digest(mac.encode(), expected.encode()):
            raise Forged(f"{what} was changed after it was signed", hint="somebody else writes to the store")
        return {name: value for name, value in document.items() if name != SIGNATURE}


def passphrase_key(passphrase: str, what: str) -> BackupKey:
    """Make a key of a passphrase.

    Args:
        passphrase: the secret.
        what: where it is from, for the error.

    Raises:
        UsageError: it is too easily guessed, or holds what gpg does not take.
    """
    if any(letter in passphrase for letter in "\r\n\0"):
        raise UsageError(f"{what} has more than one line", hint="a passphrase is one line")
    if estimate_bits(passphrase) < LEAST_BITS:
        raise UsageError(
            f"{what} is too easily guessed: {estimate_bits(passphrase):.0f} bits at most, {LEAST_BITS:.0f} are needed",
            hint="make one: openssl rand -base64 32",
        )
    return _derive(passphrase, Passphrase(passphrase))


def recipients_key(recipients: Recipients, signing_secret: str, what: str) -> BackupKey:
    """Make a key of public keys and the secret that signs.

    Raises:
        UsageError: the secret is too easily guessed.
    """
    if estimate_bits(signing_secret) < LEAST_BITS:
        raise UsageError(f"{what} is too easily guessed", hint="make one: openssl rand -base64 32")
    return _derive(signing_secret, recipients)


def estimate_bits(text: str) -> float:
    """Return the most that a text of these letters can have of entropy, in bits: length x Shannon's per letter.

    >>> round(estimate_bits("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")), round(estimate_bits("herald"))
    (0, 16)
    """
    counts = Counter(text)
    return sum(-count * math.log2(count / len(text)) for count in counts.values())


def _derive(text: str, secret: Secret) -> BackupKey:
    derived = hashlib.scrypt(text.encode(), salt=SALT, maxmem=64 * 1024**2, **SCRYPT)
    return BackupKey(
        fingerprint=hashlib.sha256(derived[32:]).hexdigest()[:16], secret=secret, authentication=derived[:32]
    )


def _sign(document: Mapping[str, Any], key: BackupKey) -> dict[str, Any]:
    content = {name: value for name, value in document.items() if name != SIGNATURE}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    mac = hmac.new(key.authentication, canonical, hashlib.sha256).hexdigest()
    return {**content, SIGNATURE: {"key": key.fingerprint, "hmac_sha256": mac}}
