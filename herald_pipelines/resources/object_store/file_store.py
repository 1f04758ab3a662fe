"""The store file://: objects are files of a folder, written beside it and renamed when they are whole and on the disk.

A call takes as long as the file system does: no timeout reaches a disk. Not here: walking folders safely (folders), urls
(open_store).
"""

import os
import stat
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.object_store.base import (
    MARKER,
    READ_BYTES,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    StoreRefused,
    StoreUnavailable,
    check_key,
    check_prefix,
)
from herald_pipelines.resources.object_store.folders import (
    open_folders,
    open_root,
    patient,
    remove_empty,
    telling,
    walk,
)
from herald_pipelines.resources.object_store.marker import (
    MOST_MARKER_BYTES,
    NO_STORE_HINT,
    new_marker,
    no_store,
    read_marker,
)

_UPLOADS = ".uploads"
"""Where what is not whole lies, below the parts of its key as folders. No key begins with a dot."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO is not waited for
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class FileStore:
    """A folder as an `ObjectStore`; each call sees anew that it is a store, since disks come and go.

    Args:
        root: an absolute path.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """Where it is."""
        return self._root.as_uri()

    def prepare(self) -> str:
        """See `ObjectStore.prepare`; makes the folder too, not the one that it lies in."""
        with telling(f"the store {self.url} cannot be made"):
            with suppress(FileExistsError):
                self._root.mkdir(mode=0o700)
            with self._open_root() as root:
                marked = os.access(MARKER, os.F_OK, dir_fd=root, follow_symlinks=False)
            if not marked:
                with suppress(ObjectExists):
                    _write(MARKER, new_marker(), self._open_root, self.url, replace=False)
                with suppress(PermissionError):  # who may make a folder may not read the one around it
                    _sync(self._root.parent)
        return self.check()

    def check(self) -> str:
        """See `ObjectStore.check`."""
        with telling(f"the store {self.url} cannot be used"), self._open_root() as root:
            return self._read_marker(root)

    @contextmanager
    def upload(self, key: str) -> Generator["_FileUpload"]:
        """See `ObjectStore.upload`."""
        check_key(key)
        with _uploading(key, self._open, self.url) as upload:
            yield upload

    def put(self, key: str, content: bytes, *, replace: bool = True) -> None:
        """See `ObjectStore.put`."""
        check_key(key)
        _write(key, content, self._open, self.url, replace=replace)

    def get(self, key: str, *, most_bytes: int) -> bytes:
        """See `ObjectStore.get`."""
        with self._open_object(key) as (handle, size):
            if size > most_bytes:
                raise StoreRefused(
                    f"{self.url}/{key} has {size} bytes, and no more than {most_bytes} are read"
                )
            return b"".join(self._chunks(key, handle, 0, size))

    @contextmanager
    def read(self, key: str, *, start: int = 0) -> Generator[Iterator[bytes]]:
        """See `ObjectStore.read`."""
        with self._open_object(key) as (handle, size):
            if start > size:
                raise StoreRefused(f"{self.url}/{key} has {size} bytes, and cannot be read from {start} on")
            yield self._chunks(key, handle, start, size)

    def stat(self, key: str) -> ObjectInfo:
        """See `ObjectStore.stat`."""
        with self._open_object(key) as (handle, _):
            return _info(key, os.fstat(handle))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`. Names that no key has are passed over: what else lies in a folder is no object."""
        parts = check_prefix(prefix)
        with telling(f"the store {self.url} cannot be listed"), self._open() as root, ExitStack() as stack:
            try:
                *_, folder = stack.enter_context(open_folders(root, parts))
            except FileNotFoundError:
                return
            for _, path, status in walk(folder, parts):
                if not stat.S_ISREG(status.st_mode):
                    raise StoreRefused(
                        f"{self.url}/{'/'.join(path)} is no regular file", hint="move it out of the store"
                    )
                yield _info("/".join(path), status)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        check_key(key)
        *folders, name = key.split("/")
        with (
            telling(f"{self.url}/{key} cannot be removed"),
            self._open() as root,
            suppress(FileNotFoundError),
            open_folders(root, folders) as handles,
        ):
            with suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=handles[-1])
            os.fsync(handles[-1])
            remove_empty(handles, folders)

    def abandon_uploads(self, prefix: str) -> int:
        """See `ObjectStore.abandon_uploads`."""
        above = (_UPLOADS, *check_prefix(prefix))
        removed: list[tuple[str, ...]] = []
        with telling(f"interrupted uploads of {self.url} cannot be removed"), self._open() as root:
            with suppress(FileNotFoundError), open_folders(root, above) as handles:
                for folder, path, _ in walk(handles[-1], ()):
                    if len(path) > 1:  # the others are of the key that is the prefix without its slash
                        os.unlink(path[-1], dir_fd=folder)
                        removed.append(path)
            for path in removed:
                parts = (*above, *path[:-1])
                with suppress(FileNotFoundError), open_folders(root, parts) as handles:
                    remove_empty(handles[1:], parts[1:])
        return len(removed)

    @contextmanager
    def _open(self) -> Generator[int]:
        with self._open_root() as root:
            self._read_marker(root)
            yield root

    @contextmanager
    def _open_root(self) -> Generator[int]:
        try:
            root = open_root(self._root)
        except FileNotFoundError:
            raise StoreRefused(
                f"the store {self.url} cannot be used: there is no such folder", hint=NO_STORE_HINT
            ) from None
        try:
            yield root
        finally:
            os.close(root)

    def _read_marker(self, root: int) -> str:
        try:
            handle = os.open(MARKER, _READ, dir_fd=root)
        except FileNotFoundError:
            raise no_store(self.url) from None
        with os.fdopen(handle, "rb") as file:
            return read_marker(file.read(MOST_MARKER_BYTES), self.url)

    @contextmanager
    def _open_object(self, key: str) -> Generator[tuple[int, int]]:
        """Yield a handle of an object and its size in bytes."""
        check_key(key)
        *folders, name = key.split("/")
        missing = ObjectMissing(f"there is no {self.url}/{key}")
        with telling(f"{self.url}/{key} cannot be read"), self._open() as root:
            try:
                with open_folders(root, folders) as handles:
                    handle = os.open(name, _READ, dir_fd=handles[-1])
            except FileNotFoundError:
                raise missing from None
        try:
            status = os.fstat(handle)
            if stat.S_ISDIR(status.st_mode):
                raise missing
            if not stat.S_ISREG(status.st_mode):
                raise StoreRefused(f"{self.url}/{key} is no regular file")
            yield handle, status.st_size
        finally:
            os.close(handle)

    def _chunks(self, key: str, handle: int, start: int, size: int) -> Iterator[bytes]:
        with telling(f"{self.url}/{key} cannot be read"):
            while start < size:
                chunk = os.pread(handle, min(READ_BYTES, size - start), start)
                if not chunk:
                    raise StoreRefused(f"{self.url}/{key} was cut off at {start} bytes while it was read")
                start += len(chunk)
                yield chunk


class _FileUpload:
    """An `Upload` into a file of its own; `close` removes what is left of it."""

    def __init__(self, key: str, open_store: Callable[[], AbstractContextManager[int]], url: str) -> None:
        self._key = key
        self._parts = (_UPLOADS, *key.split("/"))
        self._name = uuid.uuid4().hex
        self._open_store = open_store
        self._object = f"{url}/{key}"
        self._failure = f"{self._object} cannot be written"
        with telling(self._failure), open_store() as root:
            self._handle = patient(lambda: self._create(root))

    def write(self, chunk: bytes) -> None:
        """See `Upload.write`."""
        rest = memoryview(chunk)
        with telling(self._failure):
            while rest:
                rest = rest[os.write(self._handle, rest) :]

    def complete(self, *, replace: bool = True) -> None:
        """See `Upload.complete` and `ObjectStore.put`."""
        with telling(self._failure):
            os.fsync(self._handle)
            with self._open_store() as root:
                try:
                    patient(lambda: self._publish(root, replace=replace))
                except FileNotFoundError:
                    if os.fstat(self._handle).st_nlink:
                        raise
                    raise StoreUnavailable(
                        f"the upload of {self._object} was given up by somebody else"
                    ) from None

    def close(self) -> None:
        """Remove what is not visible; what cannot be removed is left to `abandon_uploads`."""
        os.close(self._handle)
        with (
            suppress(OSError, HeraldError),
            self._open_store() as root,
            open_folders(root, self._parts) as handles,
        ):
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=handles[-1])
            remove_empty(handles[1:], self._parts[1:])

    def _create(self, root: int) -> int:
        with open_folders(root, self._parts, make=True) as handles:
            return os.open(self._name, _CREATE, 0o600, dir_fd=handles[-1])

    def _publish(self, root: int, *, replace: bool) -> None:
        *folders, name = self._parts[1:]
        with (
            open_folders(root, self._parts) as ours,
            open_folders(root, folders, make=True) as handles,
        ):
            move = os.rename if replace else os.link
            try:
                move(self._name, name, src_dir_fd=ours[-1], dst_dir_fd=handles[-1])
            except FileExistsError:
                # NFS may ask twice, and refuse the second time what it did the first.
                if os.fstat(self._handle).st_nlink < 2:  # noqa: PLR2004 - names of a file
                    raise ObjectExists(f"{self._object} is there already") from None
            # All of them: one that another process made a moment ago may not be on the disk yet.
            for handle in reversed(handles):
                os.fsync(handle)


@contextmanager
def _uploading(
    key: str, open_store: Callable[[], AbstractContextManager[int]], url: str
) -> Generator[_FileUpload]:
    upload = _FileUpload(key, open_store, url)
    try:
        yield upload
    finally:
        upload.close()


def _write(
    key: str,
    content: bytes,
    open_store: Callable[[], AbstractContextManager[int]],
    url: str,
    *,
    replace: bool,
) -> None:
    with _uploading(key, open_store, url) as upload:
        upload.write(content)
        upload.complete(replace=replace)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, tz=UTC))


def _sync(folder: Path) -> None:
    handle = open_root(folder)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
