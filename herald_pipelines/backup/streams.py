"""What sealing and unsealing are made of: short queues between threads, and hashes beside the rest.

The queues are short, so memory is bounded whatever the size, and the slowest part of a way sets the pace.
"""

import hashlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

QUEUED_CHUNKS = 8
WAIT_SECONDS = 0.5
STOP_SECONDS = 2.0


class Feed:
    """A short queue of chunks, readable like a file; the empty chunk is its end."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes] = queue.Queue(QUEUED_CHUNKS)
        self._stopped = threading.Event()
        self._ended = False

    def put(self, chunk: bytes) -> None:
        """Add a chunk; dropped once nobody reads any more."""
        while not self._stopped.is_set():
            try:
                self._queue.put(chunk, timeout=WAIT_SECONDS)
            except queue.Full:
                continue
            return

    def read(self, _size: int = -1, /) -> bytes:
        """Return the next chunk; none at the end, or when it was stopped."""
        while not self._ended:
            try:
                chunk = self._queue.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                if self._stopped.is_set():
                    return b""
                continue
            self._ended = not chunk
            return chunk
        return b""

    def drain(self) -> None:
        """Take what is left, so that whoever puts comes to its end."""
        while self.read():
            pass

    def stop(self) -> None:
        """Let nobody wait on it any more."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether nobody waits on it any more."""
        return self._stopped.is_set()


class Hasher:
    """Hashes beside the rest: hashlib and zstd both let other threads run."""

    def __init__(self, chunks: Feed) -> None:
        self._chunks = chunks
        self._sha256 = hashlib.sha256()

    def run(self) -> None:
        """Hash what comes, to the end."""
        while chunk := self._chunks.read():
            self._sha256.update(chunk)

    @property
    def digest(self) -> str:
        """The hash in hex digits."""
        return self._sha256.hexdigest()


class HashedReader:
    """Reads the store for gpg. Never raises: the error is kept, and the stream ends."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._stopped = threading.Event()
        self.count = 0
        self.ended = False
        """Whether all was read."""
        self.sha256 = hashlib.sha256()
        self.error: BaseException | None = None

    def read(self, _size: int = -1, /) -> bytes:
        """Return the next chunk; none at the end, after an error, or when it was stopped."""
        if self.error is not None or self._stopped.is_set():
            return b""
        try:
            chunk = next(self._chunks, b"")
        except BaseException as error:  # noqa: BLE001 - raised to the reader of the clear chunks
            self.error = error
            return b""
        self.ended = not chunk
        self.count += len(chunk)
        self.sha256.update(chunk)
        return chunk

    def stop(self) -> None:
        """End it here."""
        self._stopped.set()


@contextmanager
def running(work: Callable[[], None], stop: Callable[[], None]) -> Generator[None]:
    """Run a thread beside a block; when the block fails it is told to stop, and it has ended when this returns."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        stop()
        # It may stand in a read of a source that is ended by whoever opened it.
        thread.join(STOP_SECONDS)
        raise
    thread.join()
