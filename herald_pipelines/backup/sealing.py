"""One pass from clear bytes into the store: zstd, gpg, hashes of both sides. Nothing in clear touches a disk.

    source -> [hash] -> zstd -> gpg -> [hash] -> upload

A stream counts only when every part of the way said so. Not here: what the bytes are, the way back (unsealing.py).
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import zstandard

from herald_pipelines.backup.streams import Feed, Hasher, running
from herald_pipelines.resources.gpg import Gpg, GpgFailed, Secret

LEVEL = 1
"""Of zstd: measured, higher ones cost more time than they save bytes beside encryption and upload."""


class Sink(Protocol):
    """Takes bytes, and may refuse them by raising."""

    def write(self, chunk: bytes) -> None:
        """Take bytes."""
        ...


@dataclass(frozen=True)
class Sealed:
    """What a stream was before and after."""

    clear_bytes: int
    clear_sha256: str
    stored_bytes: int
    stored_sha256: str
    seconds: float


def seal(
    source: Iterable[bytes],
    sink: Sink,
    secret: Secret,
    gpg: Gpg,
    *,
    on_progress: Callable[[int, int], None] = lambda _c, _s: None,
) -> Sealed:
    """Compress and encrypt a stream into a sink. The caller completes the upload, and only after this returned.

    Args:
        source: clear chunks; what it raises ends the whole.
        sink: takes the encrypted bytes.
        secret: to whom.
        gpg: with what.
        on_progress: told (clear bytes, stored bytes) so far, often.

    Raises:
        GpgFailed: gpg ended without success.
        Exception: whatever the source or the sink raised first.
    """
    started = time.monotonic()
    feed, hashes = Feed(), Feed()
    pump = _Pump(source, feed, hashes)
    hasher = Hasher(hashes)
    out = _Outlet(sink, stop=feed.stop)

    def take(chunk: bytes) -> None:
        out.take(chunk)
        on_progress(pump.count, out.count)

    with running(pump.run, feed.stop), running(hasher.run, hashes.stop):
        try:
            gpg.encrypt(feed, take, secret)
        except GpgFailed as error:
            raise pump.error or out.error or error  # noqa: B904 - what came first is the reason
        if out.error is not None:
            raise out.error
    if pump.error is not None:
        raise pump.error
    if not pump.ended or out.count == 0:
        raise GpgFailed("encrypting ended before its input did")
    return Sealed(pump.count, hasher.digest, out.count, out.sha256.hexdigest(), time.monotonic() - started)


class _Pump:
    """Reads the source, compresses, and feeds both gpg and the hash."""

    def __init__(self, source: Iterable[bytes], feed: Feed, hashes: Feed) -> None:
        self._source, self._feed, self._hashes = source, feed, hashes
        self.count = 0
        self.ended = False
        self.error: BaseException | None = None

    def run(self) -> None:
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
        try:
            for chunk in self._source:
                self.count += len(chunk)
                self._hashes.put(chunk)
                if compressed := compressor.compress(chunk):
                    self._feed.put(compressed)
                if self._feed.stopped:
                    return
            self._feed.put(compressor.flush())
            self.ended = True
        except BaseException as error:  # noqa: BLE001 - raised to the caller by the thread that waits
            self.error = error
        finally:
            self._hashes.put(b"")
            self._feed.put(b"")


class _Outlet:
    """Takes what gpg made. Never raises, because python-gnupg would call that a success: the first error is kept."""

    def __init__(self, sink: Sink, stop: Callable[[], None]) -> None:
        self._sink, self._stop = sink, stop
        self.count = 0
        self.sha256 = hashlib.sha256()
        self.error: BaseException | None = None

    def take(self, chunk: bytes) -> None:
        if self.error is not None or not chunk:
            return
        try:
            self._sink.write(chunk)
        except BaseException as error:  # noqa: BLE001 - raised to the caller by `seal`
            self.error = error
            self._stop()
            return
        self.count += len(chunk)
        self.sha256.update(chunk)
