"""A gpg with a key pair of its own."""

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from herald_pipelines.resources.gpg import Gpg


@contextmanager
def make_key_pair() -> Generator[tuple[Gpg, str]]:
    """Yield a gpg that has a private key without a passphrase, and the key's fingerprint."""
    with tempfile.TemporaryDirectory(prefix="herald-keys-") as name:
        gpg = [
            "gpg",
            "--homedir",
            name,
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]
        new = ["--quick-generate-key", "backup@example.net", "future-default", "default", "never"]
        subprocess.run([*gpg, *new], check=True)
        listed = subprocess.run(
            [*gpg, "--list-keys", "--with-colons"], capture_output=True, text=True, check=True
        ).stdout
        yield (
            Gpg(Path(name)),
            next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr")),
        )
        subprocess.run(["gpgconf", "--homedir", name, "--kill", "gpg-agent"], check=True)
