"""The adapter to GnuPG, by python-gnupg: streams encrypted and decrypted. Secrets go through a pipe, never into argv.

gpg's word alone is never enough: python-gnupg calls truncated input a success, and a callback that failed as well. So
whoever uses this counts and hashes on both sides. Not here: which keys there are (backup/keys.py).
"""

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import gnupg  # pyright: ignore[reportMissingTypeStubs]

from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.commands import require_program
from herald_pipelines.resources.own_folder import own_folder

CHUNK_BYTES = 256 * 1024
CIPHER = "AES256"
# Our input is compressed already. 65011712 is gpg's own default, which the seed had set to a 992nd of it.
ENCRYPT_OPTIONS = ("--cipher-algo", CIPHER, "--compress-algo", "none", "--no-symkey-cache")
DERIVE_OPTIONS = (
    "--s2k-mode",
    "3",
    "--s2k-cipher-algo",
    CIPHER,
    "--s2k-digest-algo",
    "SHA512",
    "--s2k-count",
    "65011712",
)
# What gpg says on its status lines, as words for people.
REASONS = {
    "decryption failed": "the key does not fit, or the bytes are damaged",
    "no data was provided": "there is nothing to decrypt",
}
# By the letter of validity in `gpg --with-colons`.
KEY_FAULTS = {"r": "is revoked", "e": "is expired", "d": "is disabled", "i": "is invalid"}


class Readable(Protocol):
    """Bytes, chunk by chunk."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


@dataclass(frozen=True)
class Passphrase:
    """A symmetric key."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class Recipients:
    """Public keys to encrypt to, by fingerprint; decrypting takes the private key of one of them."""

    fingerprints: tuple[str, ...]


Secret = Passphrase | Recipients


class GpgFailed(PermanentFailure):
    """gpg ended without success: another key, damaged bytes, an expired key."""


class _Process(gnupg.GPG):
    """python-gnupg, with a hold on its process and its result, which it drops where gpg stopped reading."""

    process: Any = None
    result: Any = None

    def _collect_output(self, process: Any, result: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - theirs
        self.result = result
        return super()._collect_output(process, result, *rest, **more)  # pyright: ignore[reportUnknownMemberType]

    def _open_subprocess(self, args: Any, passphrase: Any = False) -> Any:  # noqa: ANN401, FBT002 - theirs
        self.process = super()._open_subprocess(args, passphrase)  # pyright: ignore[reportUnknownMemberType]
        return self.process


@dataclass(frozen=True)
class Gpg:
    """gpg with a folder of keys."""

    home: Path | None = None
    """None: gpg's own default."""

    def encrypt(self, source: Readable, sink: Callable[[bytes], None], secret: Secret) -> None:
        """Encrypt a stream.

        Args:
            source: what is read until it gives no bytes; must not raise.
            sink: takes the result; must not raise.
            secret: to whom.

        Raises:
            UsageError: gpg is missing, or its folder of keys is.
            GpgFailed: it ended without success.
        """
        options: list[str] = list(ENCRYPT_OPTIONS)
        if isinstance(secret, Passphrase):
            options += DERIVE_OPTIONS
            arguments: dict[str, Any] = {"recipients": None, "symmetric": CIPHER, "passphrase": secret.text}
        else:
            arguments = {"recipients": list(secret.fingerprints), "always_trust": True}
        self._stream("encrypt_file", source, sink, "encrypting", options, armor=False, **arguments)

    def decrypt(self, source: Readable, sink: Callable[[bytes], None], secret: Secret) -> None:
        """Decrypt a stream; what reaches the sink is not to be trusted before this has returned.

        Raises:
            UsageError: gpg is missing, or its folder of keys is.
            GpgFailed: it ended without success.
        """
        passphrase = secret.text if isinstance(secret, Passphrase) else None
        self._stream("decrypt_file", source, sink, "decrypting", ["--no-symkey-cache"], passphrase=passphrase)

    def can_decrypt(self, recipients: Recipients) -> bool:
        """Whether the private key of one of some public keys is here.

        Raises:
            UsageError: gpg is missing, or its folder of keys is.
        """
        gpg: Any = self._open()
        return any(gpg.list_keys(secret=True, keys=[each]) for each in recipients.fingerprints)

    def version(self) -> str:
        """Return gpg's version: "2.2.40".

        Raises:
            UsageError: it is missing.
        """
        return ".".join(str(part) for part in self._open().version or ("unknown",))

    def find_problem(self, recipients: Recipients) -> str | None:
        """Return why something cannot be encrypted to some public keys, each by its name, or None.

        Raises:
            UsageError: gpg is missing, or its folder of keys is.
        """
        try:
            self.encrypt(_Nothing(), _drop, recipients)
        except GpgFailed as error:
            # gpg's own word is "unusable public key", whatever it is that hinders.
            found = [self._find_fault(each) for each in recipients.fingerprints]
            return "; ".join(filter(None, found)) or error.message
        return None

    def _find_fault(self, fingerprint: str) -> str | None:
        gpg: Any = self._open()
        keys = gpg.list_keys(keys=[fingerprint])
        if not keys:
            return f"{fingerprint} is not in gpg's folder of keys"
        key = keys[0]
        if key["trust"] in KEY_FAULTS:
            return f"{fingerprint} {KEY_FAULTS[key['trust']]}"
        # A capital letter: of the key with its valid subkeys.
        if "E" not in key["cap"]:
            return f"{fingerprint} cannot encrypt: it has no valid subkey that may"
        return None

    def _stream(
        self,
        method: str,
        source: Readable,
        sink: Callable[[bytes], None],
        doing: str,
        options: list[str],
        **arguments: object,
    ) -> None:
        gpg: Any = self._open()
        gpg.buffer_size = CHUNK_BYTES

        def take(chunk: bytes) -> bool:
            if chunk:  # the end is told with an empty one
                sink(chunk)
            return False  # or it would all be kept in memory

        gpg.on_data = take
        try:
            getattr(gpg, method)(source, extra_args=options, **arguments)
        except BrokenPipeError:
            pass  # gpg had no use for the rest: its result says why
        except BaseException:
            with suppress(ProcessLookupError):
                gpg.process.kill()
            raise
        result = gpg.result
        if result.returncode != 0 or not result.ok:
            said = result.status or "no reason given"
            raise GpgFailed(
                f"{doing} failed: gpg says {said}" + (f" ({REASONS[said]})" if said in REASONS else "")
            )

    def _open(self) -> _Process:
        if self.home is not None and not self.home.is_dir():
            raise UsageError(
                f"gpg's folder of keys {self.home} does not exist", hint="name it at backup.gnupg_home"
            )
        binary = require_program("gpg", hint="install gnupg (as root: apt-get install gnupg)")
        return _Process(
            gpgbinary=binary, gnupghome=None if self.home is None else str(self.home), encoding="utf-8"
        )


@contextmanager
def keyless_gpg(parent: Path | None = None) -> Generator[Gpg]:
    """Give a gpg with an empty folder of keys of its own, for passphrases: it takes no part of a user's settings.

    Args:
        parent: where that folder is made; the system's for what is temporary when left out.
    """
    with own_folder(parent or Path(tempfile.gettempdir()), "herald-gpg-") as folder:
        yield Gpg(folder)


class _Nothing:
    def read(self, _size: int = -1, /) -> bytes:
        return b""


def _drop(_chunk: bytes) -> None:
    return
