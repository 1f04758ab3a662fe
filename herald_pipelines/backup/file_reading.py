"""Reads one file once and tells whether it stayed the same meanwhile. Not here: what follows when it did not."""

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import Self

from herald_pipelines.settings.files import explain

READ_BYTES = 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO is not waited for


class FileReading:
    """A file that is open for reading, for a block.

    Args:
        name: of the file.
        folder: handle of the folder it lies in.

    Raises:
        FileNotFoundError: it is gone, or no regular file any more.
        OSError: it cannot be opened.
    """

    def __init__(self, name: str, folder: int) -> None:
        self.handle = os.open(name, _READ, dir_fd=folder)
        self.status = os.fstat(self.handle)
        """Before it is read."""
        if not stat.S_ISREG(self.status.st_mode):
            os.close(self.handle)
            raise FileNotFoundError
        self.size = self.status.st_size
        self.failure: str | None = None
        """Why not all could be read."""
        self._is_short = False
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    @property
    def sha256(self) -> str:
        """Of what was given out."""
        return self._sha256.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """Yield as many bytes as the file had, with zeros for what is there no more: a tar announces a size."""
        left = self.size
        while left:
            try:
                chunk = os.read(self.handle, min(left, READ_BYTES))
            except OSError as error:
                chunk, self.failure = b"", explain(error)
            if not chunk:
                self._is_short = True
                while left:
                    zeros = bytes(min(left, READ_BYTES))
                    self._sha256.update(zeros)
                    left -= len(zeros)
                    yield zeros
                return
            self._sha256.update(chunk)
            left -= len(chunk)
            yield chunk

    def whole(self) -> bytes:
        """Return the content, as long as it is now and at most as long as it was: for small files.

        Raises:
            OSError: it cannot be read.
        """
        content = b""
        while len(content) < self.size and (chunk := os.read(self.handle, self.size - len(content))):
            content += chunk
        self._is_short = len(content) < self.size
        self.size = len(content)
        self._sha256.update(content)
        return content

    def is_settled(self) -> bool:
        """Whether nothing of the file changed since it was opened."""
        now, before = os.fstat(self.handle), self.status
        return not self._is_short and (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
            before.st_size,
            before.st_mtime_ns,
            before.st_ctime_ns,
        )
