"""What a store of backups can do: the contract of file:// and s3://, and its errors. Not here: what is kept in it."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from herald_pipelines.errors import PermanentFailure, TransientFailure


class StoreUnavailable(TransientFailure):
    """The store did not answer, or not rightly; trying again may help."""


class StoreRefused(PermanentFailure):
    """The store refused: no such bucket, missing rights, no room. A failed read is never an empty answer."""


class ObjectMissing(PermanentFailure):
    """There is no object of that key."""


class ObjectExists(PermanentFailure):
    """There is an object of that key already."""


READ_BYTES = 1024 * 1024
"""The most that one chunk of `ObjectStore.read` holds."""
MARKER = "herald-store.json"
"""The object at the top of a store that says it is one (marker.py)."""
_RESERVED = (MARKER, "lost+found")
_LONGEST_KEY = 900
"""S3 takes 1024 bytes; the rest is for a prefix."""
_PART = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,254}")
"""What file systems and S3 both take as a name; a dot at the front is kept for what is no object."""


def check_key(key: str) -> None:
    """Refuse what is no key, wherever it came from: a manifest may have been written by somebody else.

    Raises:
        StoreRefused: it is none.
    """
    if not is_key(key):
        raise StoreRefused(
            f"{key[:_LONGEST_KEY]!a} is no key of a store",
            hint="parts divided by /, each of letters, digits, . _ - + with no dot at the front; "
            f"255 bytes a part, {_LONGEST_KEY} in all",
        )


def is_key(key: str) -> bool:
    """Tell whether a text is a key."""
    return len(key) <= _LONGEST_KEY and all(map(is_part, key.split("/")))


def check_prefix(prefix: str) -> tuple[str, ...]:
    """Return the parts of a prefix: none for "".

    Raises:
        StoreRefused: it is no key with a / behind it.
    """
    if not prefix:
        return ()
    if not prefix.endswith("/"):
        raise StoreRefused(f"the prefix {prefix[:_LONGEST_KEY]!a} does not end with /")
    check_key(prefix[:-1])
    return tuple(prefix[:-1].split("/"))


def is_part(name: str) -> bool:
    """Tell whether a name may be a part of a key.

    >>> [is_part(name) for name in ("base.tar.zst.gpg", "00:30", "..", "", "lost+found")]
    [True, False, False, False, False]
    """
    return _PART.fullmatch(name) is not None and name not in _RESERVED


@dataclass(frozen=True)
class ObjectInfo:
    """An object as the store lists it."""

    key: str
    size_bytes: int
    modified_at: datetime
    """By the store's clock, UTC."""


class Upload(Protocol):
    """An object that is being written: nobody sees it before `complete` returns."""

    def write(self, chunk: bytes) -> None:
        """Add bytes to it. Blocks while the store is slower than the writer.

        Raises:
            StoreUnavailable, StoreRefused: the upload cannot go on.
        """
        ...

    def complete(self) -> None:
        """Make it visible, whole and durable.

        Raises:
            StoreUnavailable, StoreRefused: it is not visible, or not known to be.
        """
        ...


class ObjectStore(Protocol):
    """A flat space of objects by key: parts divided by /, as `check_key` takes them.

    A key is never another's folder: where there is `a/b`, there is no `a`. Any method raises StoreRefused for a key that
    is none, and where there is no store (see `check`). One store may be used by several threads, an upload by one.
    """

    @property
    def url(self) -> str:
        """Where it is, without secrets: for people and for manifests."""
        ...

    def prepare(self) -> str:
        """Make the place a store, once, by a marker with a random id; a store is left as it is. Return the id.

        For whoever sets it up: to do so before each backup would take the empty folder of a disk that is not mounted
        for a store.

        Raises:
            StoreUnavailable, StoreRefused: it is not known to be a store.
        """
        ...

    def check(self) -> str:
        """Return the id of the store.

        Raises:
            StoreRefused: there is none, such as a folder whose disk is not mounted, or a prefix that nobody prepared.
            StoreUnavailable: it could not be asked.
        """
        ...

    def upload(self, key: str) -> AbstractContextManager[Upload]:
        """Begin an object of unknown size; leaving the block without `complete` leaves nothing visible.

        An object of that key is replaced when the upload completes.

        Raises:
            StoreUnavailable, StoreRefused: it could not begin.
        """
        ...

    def put(self, key: str, content: bytes, *, replace: bool = True) -> None:
        """Write a small object whole and durably.

        Raises:
            ObjectExists: there is one and `replace` is false; of two writers at once exactly one succeeds.
            StoreUnavailable, StoreRefused: it is not written, or not known to be.
        """
        ...

    def get(self, key: str, *, most_bytes: int) -> bytes:
        """Return a small object.

        Raises:
            ObjectMissing: there is none.
            StoreRefused: it is larger than `most_bytes`, or refused.
            StoreUnavailable: it could not be read.
        """
        ...

    def read(self, key: str, *, start: int = 0) -> AbstractContextManager[Iterator[bytes]]:
        """Stream an object in chunks of at most 1 MiB from a byte on; a lost connection is resumed where it broke.

        Raises:
            ObjectMissing: there is none.
            StoreUnavailable, StoreRefused: it could not be read to its end, or `start` lies beyond that.
        """
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Return size and age of an object.

        Raises:
            ObjectMissing: there is none.
            StoreUnavailable, StoreRefused: it could not be asked.
        """
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object whose key begins with a prefix that ends with /, or all for "", in order of keys.

        Raises:
            StoreUnavailable, StoreRefused: while it is iterated: the listing is not complete.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is missing is no error.

        Raises:
            StoreUnavailable, StoreRefused: it is not removed, or not known to be.
        """
        ...

    def abandon_uploads(self, prefix: str) -> int:
        """Give up what interrupted uploads of keys with a prefix (as of `list`) left behind; return how many there were.

        Only for whoever knows that nobody writes there any more.

        Raises:
            StoreUnavailable, StoreRefused: some may be left.
        """
        ...
