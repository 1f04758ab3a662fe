"""Streams sealed and unsealed by a real gpg: what comes back is what went in, or an error says that it is not."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from herald_pipelines.backup.facts import Part
from herald_pipelines.backup.keys import passphrase_key
from herald_pipelines.backup.sealing import seal
from herald_pipelines.backup.unsealing import Damaged, unseal
from herald_pipelines.resources.gpg import Gpg, Passphrase, Recipients, keyless_gpg

SECRET = passphrase_key("kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R", "a test's passphrase").secret
TEXT = b"".join(b"%d\tmatch\t%d\n" % (number, number * 7919 % 1000) for number in range(200_000))


class Sink:
    """Keeps what it is given; raises once it has more than it may."""

    def __init__(self, most_bytes: int = 1 << 40) -> None:
        self.content = b""
        self._most_bytes = most_bytes

    def write(self, chunk: bytes) -> None:
        """Keep a chunk."""
        if len(self.content) + len(chunk) > self._most_bytes:
            raise OSError(28, "No space left on device")
        self.content += chunk


@pytest.fixture
def gpg() -> Iterator[Gpg]:
    """Give a gpg without keys."""
    with keyless_gpg() as own:
        yield own


def in_chunks(content: bytes, size: int = 65_536) -> Iterator[bytes]:
    """Yield a content piece by piece."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


def sealed(gpg: Gpg, content: bytes, secret: Passphrase | Recipients = SECRET) -> tuple[Part, bytes]:
    """Seal a content, and return it as a part with its stored bytes."""
    sink = Sink()
    done = seal(in_chunks(content), sink, secret, gpg)
    part = Part(
        name="dump",
        object="o",
        **{key: getattr(done, key) for key in Part.model_fields if hasattr(done, key)},
    )
    return part, sink.content


def opened(gpg: Gpg, part: Part, stored: bytes, secret: Passphrase | Recipients = SECRET) -> bytes:
    """Unseal a part."""
    with unseal(in_chunks(stored), secret, gpg, part, "the dump") as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize("content", [b"", b"x", TEXT, os.urandom(3_000_000), bytes(50_000_000)])
def test_comes_back_as_it_was(gpg: Gpg, content: bytes) -> None:
    part, stored = sealed(gpg, content)

    assert opened(gpg, part, stored) == content
    assert (part.clear_bytes, part.stored_bytes) == (len(content), len(stored))
    assert content[:20] not in stored or len(content) < 20


def test_gpg_alone_opens_it(gpg: Gpg, tmp_path: Path) -> None:
    """Without any program of ours: gpg and zstd are enough in need."""
    _, stored = sealed(gpg, TEXT)
    (tmp_path / "stored").write_bytes(stored)
    (tmp_path / "key").write_text("kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R\n")

    shell = (
        "gpg --batch --quiet --homedir . --pinentry-mode loopback --passphrase-file key -d stored | zstd -dc"
    )
    found = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell], cwd=tmp_path, capture_output=True, check=True
    )

    assert found.stdout == TEXT


def test_no_bit_may_flip(gpg: Gpg) -> None:
    part, stored = sealed(gpg, TEXT[:20_000])
    for place in range(0, len(stored), max(1, len(stored) // 40)):
        broken = stored[:place] + bytes([stored[place] ^ 4]) + stored[place + 1 :]
        with pytest.raises(Damaged, match="the dump"):
            opened(gpg, part, broken)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_no_byte_may_be_missing(gpg: Gpg, share: float) -> None:
    part, stored = sealed(gpg, TEXT)

    with pytest.raises(Damaged, match="in the store"):
        opened(gpg, part, stored[: int(len(stored) * share)])


def test_nothing_may_follow(gpg: Gpg) -> None:
    part, stored = sealed(gpg, TEXT)

    with pytest.raises(Damaged):
        opened(gpg, part, stored + b"x")


def test_another_stream_of_the_same_key_is_not_it(gpg: Gpg) -> None:
    part, _ = sealed(gpg, TEXT)
    _, other = sealed(gpg, TEXT)

    with pytest.raises(Damaged, match="in the store"):
        opened(gpg, part, other)


def test_a_clear_side_that_differs_is_damage(gpg: Gpg) -> None:
    """As it would be if gpg or zstd had gone wrong: the stored bytes are right, and what they hold is not."""
    part, stored = sealed(gpg, TEXT)
    for wrong in ({"clear_bytes": len(TEXT) - 5}, {"clear_bytes": len(TEXT) + 5}, {"clear_sha256": "0" * 64}):
        with pytest.raises(Damaged, match="not what was backed up"):
            opened(gpg, part.model_copy(update=wrong), stored)


def test_another_passphrase_does_not_open_it(gpg: Gpg) -> None:
    part, stored = sealed(gpg, TEXT)
    other = passphrase_key("another-passphrase-that-nobody-guesses-0815", "x").secret

    with pytest.raises(Damaged, match=r"cannot be opened.*key does not fit"):
        opened(gpg, part, stored, other)


def test_a_source_that_fails_fails_the_whole(gpg: Gpg) -> None:
    def source() -> Iterator[bytes]:
        yield TEXT
        raise ConnectionError("the server is gone")

    with pytest.raises(ConnectionError, match="the server is gone"):
        seal(source(), Sink(), SECRET, gpg)


@pytest.mark.parametrize("most_bytes", [0, 10, 300_000])
def test_a_sink_that_fails_fails_the_whole(gpg: Gpg, most_bytes: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        seal(in_chunks(os.urandom(2_000_000)), Sink(most_bytes), SECRET, gpg)


def test_a_store_that_breaks_off_is_told_as_that(gpg: Gpg) -> None:
    part, stored = sealed(gpg, TEXT)

    def reading() -> Iterator[bytes]:
        yield stored[:1000]
        raise ConnectionError("the store is gone")

    with (
        pytest.raises(ConnectionError, match="the store is gone"),
        unseal(reading(), SECRET, gpg, part, "the dump") as chunks,
    ):
        list(chunks)


def test_a_reader_may_stop_early(gpg: Gpg) -> None:
    content = random.Random(1).randbytes(20_000_000)
    part, stored = sealed(gpg, content)

    with unseal(in_chunks(stored), SECRET, gpg, part, "the dump") as chunks:
        assert content.startswith(next(chunks))


def test_gpg_that_is_killed_is_no_success(gpg: Gpg) -> None:
    def source() -> Iterator[bytes]:
        yield os.urandom(1_000_000)
        # The first chunk may be here before gpg is.
        while subprocess.run(
            ["pkill", "-KILL", "-f", f"homedir {gpg.home}.*symmetric"], check=False
        ).returncode:
            time.sleep(0.02)
        yield from in_chunks(os.urandom(30_000_000))

    with pytest.raises(Exception, match=r"gpg says|ended before|Broken pipe"):
        seal(source(), Sink(), SECRET, gpg)


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[tuple[Gpg, Recipients]]:
    """Give a gpg with a key pair of its own, and the public key as the recipient."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    make = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
    ]
    subprocess.run(
        [*make, "--quick-generate-key", "backup@example.net", "future-default", "default", "never"],
        check=True,
    )
    listed = subprocess.run(
        ["gpg", "--homedir", str(home), "--list-keys", "--with-colons"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    yield Gpg(home), Recipients((fingerprint,))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=True)


def test_a_public_key_encrypts_and_only_its_private_key_opens(
    keyring: tuple[Gpg, Recipients], gpg: Gpg
) -> None:
    own, recipients = keyring
    part, stored = sealed(own, TEXT, recipients)

    assert opened(own, part, stored, recipients) == TEXT
    with pytest.raises(Damaged, match="cannot be opened"):
        opened(gpg, part, stored, recipients)


def test_an_unknown_recipient_is_refused(gpg: Gpg) -> None:
    problem = gpg.find_problem(Recipients(("0" * 40,)))

    assert problem == f"{'0' * 40} is not in gpg's folder of keys"
    assert replace(gpg, home=None).find_problem(Recipients(("0" * 40,))) is not None
