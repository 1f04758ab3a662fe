"""One pass from the store back to clear bytes, with everything checked on the way. Nothing in clear touches a disk.

    store -> [hash] -> gpg -> zstd -> [hash] -> reader

gpg calls truncated input a success, so what counts are both hashes and both sizes. Not here: what the bytes are.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, cast

import zstandard

from herald_pipelines.backup.facts import Part
from herald_pipelines.backup.streams import Feed, HashedReader, Hasher, running
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.gpg import Gpg, GpgFailed, Secret

CHUNK_BYTES = 1024 * 1024


class Damaged(PermanentFailure):
    """What came out of the store is not what went in."""


@contextmanager
def unseal(
    stored: Iterable[bytes], secret: Secret, gpg: Gpg, part: Part, what: str
) -> Generator[Iterator[bytes]]:
    """Give the clear chunks of a stored part, each at most 1 MiB. None is to be trusted before the last has come.

    Taking the chunks raises Damaged at their end at the latest when anything differs from the part's sizes and hashes;
    GpgFailed when gpg refused; and whatever reading the store raised.

    Args:
        stored: the encrypted chunks.
        secret: whose.
        gpg: with what.
        part: of the manifest.
        what: what it is, for errors.
    """
    passage = _Passage(stored, secret, gpg, part, what)
    with running(passage.decrypt, passage.stop):
        chunks = passage.chunks()
        try:
            yield chunks
        finally:
            chunks.close()
            passage.stop()


class _Passage:
    """One part on its way back: gpg works in a thread of its own, the reader decompresses."""

    def __init__(self, stored: Iterable[bytes], secret: Secret, gpg: Gpg, part: Part, what: str) -> None:
        self._secret, self._gpg, self._part, self._what = secret, gpg, part, what
        self._inlet, self._outlet = HashedReader(stored), Feed()
        self._failure: Exception | None = None
        self._count = 0

    def decrypt(self) -> None:
        """Have gpg fill the outlet."""
        try:
            self._gpg.decrypt(self._inlet, self._outlet.put, self._secret)
        except Exception as error:  # noqa: BLE001 - raised to the reader
            self._failure = error
        self._outlet.put(b"")

    def stop(self) -> None:
        """Let nobody wait any more."""
        self._inlet.stop()
        self._outlet.stop()

    def chunks(self) -> Generator[bytes]:
        """Yield the clear bytes, and raise where they are not the part's."""
        hashes = Feed()
        hasher = Hasher(hashes)
        with running(hasher.run, hashes.stop):
            for chunk in self._decompress():
                hashes.put(chunk)
                yield chunk
            self._outlet.drain()
            hashes.put(b"")
        self._judge(hasher.digest)

    def _decompress(self) -> Iterator[bytes]:
        """Yield what decompresses, and not more than there may be; what does not ends it."""
        # It only reads, whatever its types ask for.
        source = cast("IO[bytes]", self._outlet)
        reader = zstandard.ZstdDecompressor().stream_reader(source, read_size=CHUNK_BYTES)
        while self._count <= self._part.clear_bytes:
            try:
                chunk = reader.read(CHUNK_BYTES)
            except zstandard.ZstdError:
                return
            if not chunk:
                return
            self._count += len(chunk)
            yield chunk

    def _judge(self, clear_sha256: str) -> None:
        if self._inlet.error is not None:
            raise self._inlet.error
        part, stored_sha256 = self._part, self._inlet.sha256.hexdigest()
        complete = self._failure is None or self._inlet.ended
        if complete and (self._inlet.count, stored_sha256) != (part.stored_bytes, part.stored_sha256):
            raise Damaged(
                f"{self._what} is damaged in the store: {self._inlet.count} bytes that are not the"
                f" {part.stored_bytes} written"
            )
        if isinstance(self._failure, GpgFailed):
            raise Damaged(f"{self._what} cannot be opened: {self._failure.message}") from self._failure
        if self._failure is not None:
            raise self._failure
        if (self._count, clear_sha256) != (part.clear_bytes, part.clear_sha256):
            raise Damaged(
                f"{self._what} is damaged: decrypted and decompressed, it is not what was backed up"
            )
