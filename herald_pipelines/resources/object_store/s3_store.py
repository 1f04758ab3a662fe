"""The store s3://: objects of a bucket, below a prefix. Not here: making them (s3_upload), urls (open_store)."""

import io
import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from botocore.exceptions import ClientError

from herald_pipelines.resources.object_store.base import (
    MARKER,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    StoreRefused,
    StoreUnavailable,
    check_key,
    check_prefix,
    is_key,
)
from herald_pipelines.resources.object_store.marker import (
    MOST_MARKER_BYTES,
    new_marker,
    no_store,
    read_marker,
)
from herald_pipelines.resources.object_store.s3_client import code_of, make_client, telling
from herald_pipelines.resources.object_store.s3_download import S3Download
from herald_pipelines.resources.object_store.s3_options import S3Options
from herald_pipelines.resources.object_store.s3_upload import S3Target, S3Upload, put

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_PARTIAL_CONTENT = 206


class S3Store:
    """A bucket, or what is below a prefix of it, as an `ObjectStore`; it has that to itself.

    A service that does not know conditional writes, and does not say so, lets two writers of `put(replace=False)` at the
    very same moment both succeed; Amazon, MinIO, Ceph since Squid and R2 know them.

    Args:
        bucket: its name.
        prefix: a key, or "" for the whole bucket.
        options: how the service is reached.
        work_folder: where parts of more than 8 MiB wait for their upload.

    Raises:
        UsageError: the options are wrong.
    """

    def __init__(self, bucket: str, prefix: str, options: S3Options, *, work_folder: Path) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = options
        self._work_folder = work_folder
        self._client = make_client(options)
        self._is_checked = False

    @property
    def url(self) -> str:
        """Where it is."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def prepare(self) -> str:
        """See `ObjectStore.prepare`; the bucket is there already."""
        try:
            return self._read_marker()
        except ObjectMissing:
            with suppress(ObjectExists):
                self._put(MARKER, new_marker(), replace=False)
        return self.check()

    def check(self) -> str:
        """See `ObjectStore.check`."""
        try:
            identity = self._read_marker()
        except ObjectMissing:
            raise no_store(self.url) from None
        self._is_checked = True
        return identity

    @contextmanager
    def upload(self, key: str) -> Generator[S3Upload]:
        """See `ObjectStore.upload`."""
        self._check(key)
        if not os.access(self._work_folder, os.W_OK | os.X_OK):
            raise StoreRefused(f"the work folder {self._work_folder} cannot be written")
        with closing(S3Upload(self._target(key), self._work_folder)) as upload:
            yield upload

    def put(self, key: str, content: bytes, *, replace: bool = True) -> None:
        """See `ObjectStore.put`."""
        self._check(key)
        self._put(key, content, replace=replace)

    def get(self, key: str, *, most_bytes: int) -> bytes:
        """See `ObjectStore.get`."""
        self._check(key)
        return self._get(key, most_bytes)

    @contextmanager
    def read(self, key: str, *, start: int = 0) -> Generator[Iterator[bytes]]:
        """See `ObjectStore.read`."""
        self._check(key)
        if start and start >= (size := self._stat(key).size_bytes):  # S3 has no range that is empty
            if start > size:
                raise StoreRefused(f"{self._url(key)} has {size} bytes, and cannot be read from {start} on")
            yield iter(())
            return
        with closing(self._download(key, start)) as download:
            yield download.chunks()

    def stat(self, key: str) -> ObjectInfo:
        """See `ObjectStore.stat`."""
        self._check(key)
        return self._stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`. Names that no key has are passed over."""
        check_prefix(prefix)
        self._check()
        is_truncated: bool | None = None
        with telling(f"the store {self.url} cannot be listed"):
            for page in self._pages("list_objects_v2", prefix):
                is_truncated = page.get("IsTruncated")
                for each in page.get("Contents", []):
                    key = each["Key"].removeprefix(self._prefix)
                    if is_key(key):
                        yield _info(key, each["Size"], each["LastModified"])
        # The SDK takes any XML for a page, and one without a way to the next for the last.
        if is_truncated is not False:
            raise StoreUnavailable(f"the store {self.url} cannot be listed: the answer is no whole listing")

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`. Where the bucket keeps versions, it keeps this one."""
        self._check(key)
        with telling(f"{self._url(key)} cannot be removed"):
            self._client.delete_object(**self._where(key))

    def abandon_uploads(self, prefix: str) -> int:
        """See `ObjectStore.abandon_uploads`. Some services tell of none by prefix, and end them after a day themselves."""
        check_prefix(prefix)
        self._check()
        abandoned = 0
        with telling(f"interrupted uploads of {self.url} cannot be given up"):
            found = [
                upload
                for page in self._pages("list_multipart_uploads", prefix)
                for upload in page.get("Uploads", [])
                if is_key(upload["Key"].removeprefix(self._prefix))
            ]
            for upload in found:
                try:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                except ClientError as error:
                    if code_of(error) != "NoSuchUpload":
                        raise
                else:
                    abandoned += 1
        return abandoned

    def _stat(self, key: str) -> ObjectInfo:
        with telling(f"{self._url(key)} cannot be read"):
            try:
                answer = self._client.head_object(**self._where(key))
            except ClientError:
                # An answer to HEAD has no words: whether the object is missing or the bucket, only GET tells.
                answer = self._client.get_object(**self._where(key))
                answer["Body"].close()
            return _info(key, answer["ContentLength"], answer["LastModified"])

    def _pages(
        self, question: "Literal['list_objects_v2', 'list_multipart_uploads']", prefix: str
    ) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator(question).paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}{prefix}"
        )
        return cast("Iterator[dict[str, Any]]", iter(pages))

    def _ask(self, key: str, start: int, etag: str | None) -> "GetObjectOutputTypeDef":
        options: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        if etag is not None:
            options["IfMatch"] = etag
        failure = f"{self._url(key)} cannot be read"
        with telling(failure):
            answer = self._client.get_object(**self._where(key), **options)
        if start and answer["ResponseMetadata"]["HTTPStatusCode"] != _PARTIAL_CONTENT:
            answer["Body"].close()
            raise StoreRefused(f"{failure}: the service reads objects from their beginning only")
        return answer

    def _download(self, key: str, start: int = 0) -> S3Download:
        return S3Download(partial(self._ask, key), f"{self._url(key)} cannot be read", start)

    def _get(self, key: str, most_bytes: int) -> bytes:
        with closing(self._download(key)) as download:
            if download.size_bytes > most_bytes:
                raise StoreRefused(
                    f"{self._url(key)} has {download.size_bytes} bytes, and no more than {most_bytes} are read"
                )
            return b"".join(download.chunks())

    def _put(self, key: str, content: bytes, *, replace: bool) -> None:
        if not replace:
            # Asked first for services that take no notice of the condition; refused where nothing may be listed.
            with suppress(ObjectMissing, StoreRefused):
                self._stat(key)
                raise ObjectExists(f"{self._url(key)} is there already")
        put(self._target(key), io.BytesIO(content), replace=replace)

    def _read_marker(self) -> str:
        return read_marker(self._get(MARKER, MOST_MARKER_BYTES), self.url)

    def _check(self, key: str | None = None) -> None:
        """Refuse what is no key, and the first time a place that is no store: buckets do not come and go as disks do."""
        if key is not None:
            check_key(key)
        if not self._is_checked:
            self.check()

    def _where(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{key}"}

    def _url(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def _target(self, key: str) -> S3Target:
        encryption: dict[str, Any] = {}
        if self._options.sse is not None:
            encryption["ServerSideEncryption"] = self._options.sse
        if self._options.kms_key_id is not None:
            encryption["SSEKMSKeyId"] = self._options.kms_key_id
        return S3Target(self._client, self._bucket, f"{self._prefix}{key}", encryption)


def _info(key: str, size_bytes: int, modified_at: datetime) -> ObjectInfo:
    # A listing tells milliseconds, and HEAD none.
    return ObjectInfo(key, size_bytes, modified_at.astimezone(UTC).replace(microsecond=0))
