"""A download from S3 that goes on where its connection broke. Not here: other requests (s3_store)."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from herald_pipelines.resources.object_store.base import READ_BYTES, StoreUnavailable
from herald_pipelines.resources.object_store.s3_client import telling

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_FAILURES = 5
"""In a row, without 1 MiB between them."""
_PAUSE_SECONDS = 0.5
"""After the first; each further one is twice as long: 7.5 s in all."""


class S3Download:
    """An object on its way, from a byte on.

    Args:
        ask: asks for it from a byte on; with an ETag, for that version alone.
        failure: what could not be done, if it cannot be read.
        start: the first byte.

    Raises:
        ObjectMissing, StoreUnavailable, StoreRefused: as `ask`.
    """

    def __init__(
        self, ask: "Callable[[int, str | None], GetObjectOutputTypeDef]", failure: str, start: int
    ) -> None:
        self._ask = ask
        self._failure = failure
        self._position = start
        answer = ask(start, None)
        with telling(failure):
            self._body = answer["Body"]
            self._etag = answer["ETag"]
            self.size_bytes = start + answer["ContentLength"]

    def chunks(self) -> Iterator[bytes]:
        """Yield the rest of it.

        Raises:
            StoreUnavailable, StoreRefused: it cannot be read to its end.
        """
        failures = 0
        safe = self._position
        while True:
            try:
                if failures:
                    self.close()
                    self._body = self._ask(self._position, self._etag)["Body"]
                while chunk := self._read():
                    self._position += len(chunk)
                    yield chunk
                    if self._position >= safe + READ_BYTES:
                        failures, safe = 0, self._position
            except StoreUnavailable:
                failures += 1
                if failures >= _FAILURES or self._position >= self.size_bytes:
                    raise
                time.sleep(_PAUSE_SECONDS * 2 ** (failures - 1))
            else:
                return

    def close(self) -> None:
        """Leave the connection."""
        self._body.close()

    def _read(self) -> bytes:
        """Return the next bytes; none only at the end, where the SDK compares checksum and length."""
        with telling(self._failure):
            chunk = self._body.read(READ_BYTES)
        if not chunk and self._position != self.size_bytes:
            raise StoreUnavailable(f"{self._failure}: the answer ended at byte {self._position}")
        return chunk
