"""An upload to S3 of unknown size: parts that grow, one on its way while the next one fills. Not here: other requests."""

import tempfile
import uuid
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.object_store import folders
from herald_pipelines.resources.object_store.base import (
    ObjectExists,
    ObjectMissing,
    StoreRefused,
    StoreUnavailable,
)
from herald_pipelines.resources.object_store.s3_client import code_of, telling

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

_FIRST_PART_BYTES = 8 * 1024 * 1024
_PARTS_OF_A_SIZE = 1000
_MARK = "herald-upload"
"""Metadata of each object: which upload made it, so that a lost answer leaves nobody in doubt."""


def part_bytes(number: int) -> int:
    """Return the size of a part, counted from 0: S3 takes 10,000 of 5 MiB to 5 GiB, which shall hold any dump.

    >>> part_bytes(0), part_bytes(1000), part_bytes(9999)
    (8388608, 16777216, 4294967296)
    >>> sum(map(part_bytes, range(10_000))) > 8 * 10**12
    True
    """
    return _FIRST_PART_BYTES << number // _PARTS_OF_A_SIZE


class S3Target:
    """An object to be made: where, and how it is told from another one of its key.

    Args:
        client: asks S3.
        bucket: its bucket.
        name: its whole name in the bucket.
        encryption: parameters of server-side encryption.
    """

    def __init__(self, client: "S3Client", bucket: str, name: str, encryption: dict[str, Any]) -> None:
        self.client = client
        self.where: dict[str, Any] = {"Bucket": bucket, "Key": name}
        self._mark = uuid.uuid4().hex
        self.creation: dict[str, Any] = {**self.where, "Metadata": {_MARK: self._mark}, **encryption}
        self.url = f"s3://{bucket}/{name}"
        self.failure = f"{self.url} cannot be written"

    def is_made(self) -> bool:
        """Tell whether it is there, made by this upload and no other.

        Raises:
            StoreUnavailable, StoreRefused: it could not be asked.
        """
        with suppress(ObjectMissing), telling(self.failure):
            return self.client.head_object(**self.where)["Metadata"].get(_MARK) == self._mark
        return False


def put(target: S3Target, body: IO[bytes], *, replace: bool = True) -> None:
    """Make an object in one request; see `ObjectStore.put`.

    Raises:
        ObjectExists, StoreUnavailable, StoreRefused: as there.
    """
    body.seek(0)
    condition: dict[str, Any] = {} if replace else {"IfNoneMatch": "*"}
    with _settling(target), telling(target.failure):
        try:
            target.client.put_object(**target.creation, **condition, Body=body)
        except ClientError as error:
            if replace or code_of(error) not in ("PreconditionFailed", "NotImplemented"):
                raise
            if code_of(error) == "NotImplemented":
                body.seek(0)
                target.client.put_object(**target.creation, Body=body)
            elif not target.is_made():  # the SDK may have asked twice, and met what the first request made
                raise ObjectExists(f"{target.url} is there already") from None


@contextmanager
def _settling(target: S3Target) -> Generator[None]:
    """Let a request fail only if its object is not there: the answer may be lost, or be one to a repetition."""
    try:
        yield
    except (StoreUnavailable, StoreRefused):
        with suppress(HeraldError):
            if target.is_made():
                return
        raise


class S3Upload:
    """An `Upload` to S3; `close` gives up what is not complete.

    Memory: two parts of at most 8 MiB; larger ones lie in the work folder, as whoever writes made them: encrypted.
    """

    def __init__(self, target: S3Target, work_folder: Path) -> None:
        self._target = target
        self._client = target.client
        self._work_folder = work_folder
        self._part = self._new_part()
        self._filled_bytes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._sending: tuple[Future[CompletedPartTypeDef], tempfile.SpooledTemporaryFile[bytes]] | None = None
        self._sent: list[CompletedPartTypeDef] = []
        self._upload_id: str | None = None

    def write(self, chunk: bytes) -> None:
        """See `Upload.write`."""
        if self._sending and self._sending[0].done():
            self._wait()
        rest = memoryview(chunk)
        while rest:
            piece = rest[: part_bytes(self._number) - self._filled_bytes]
            with folders.telling(f"{self._target.failure} by way of {self._work_folder}"):
                self._part.write(piece)
            self._filled_bytes += len(piece)
            rest = rest[len(piece) :]
            if self._filled_bytes == part_bytes(self._number):
                self._send()

    def complete(self) -> None:
        """See `Upload.complete`."""
        if self._upload_id is None:
            put(self._target, self._part)
            return
        if self._filled_bytes:
            self._send()
        self._wait()
        with _settling(self._target), telling(self._target.failure):
            self._client.complete_multipart_upload(
                **self._target.where, UploadId=self._upload_id, MultipartUpload={"Parts": self._sent}
            )
        self._upload_id = None

    def close(self) -> None:
        """Give up what is not complete; what cannot be given up is left to `abandon_uploads`."""
        if self._sending:
            self._sending[1].close()  # ends the request: nobody waits for a part that is not wanted
        self._thread.shutdown(cancel_futures=True)
        self._part.close()
        if self._upload_id is not None:
            with suppress(HeraldError), telling(self._target.failure):
                self._client.abort_multipart_upload(**self._target.where, UploadId=self._upload_id)

    @property
    def _number(self) -> int:
        return len(self._sent) + (self._sending is not None)

    def _new_part(self) -> tempfile.SpooledTemporaryFile[bytes]:
        return tempfile.SpooledTemporaryFile(max_size=_FIRST_PART_BYTES, dir=str(self._work_folder))

    def _send(self) -> None:
        self._wait()
        if self._upload_id is None:
            with telling(self._target.failure):
                self._upload_id = self._client.create_multipart_upload(**self._target.creation)["UploadId"]
        part, self._part, self._filled_bytes = self._part, self._new_part(), 0
        number = len(self._sent) + 1  # S3 counts from 1
        self._sending = self._thread.submit(self._send_part, part, number, self._upload_id), part

    def _wait(self) -> None:
        if self._sending:
            sent, part = self._sending
            self._sent.append(sent.result())
            part.close()
            self._sending = None

    def _send_part(
        self, part: tempfile.SpooledTemporaryFile[bytes], number: int, upload_id: str
    ) -> "CompletedPartTypeDef":
        with telling(self._target.failure):
            part.seek(0)
            answer = self._client.upload_part(
                **self._target.where, UploadId=upload_id, PartNumber=number, Body=part
            )
            sent: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
        if checksum := answer.get("ChecksumCRC32"):  # where parts have one, completing asks for it
            sent["ChecksumCRC32"] = checksum
        return sent
