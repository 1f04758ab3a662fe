"""One backup while it is made: its lease is written first and renewed, its manifest last; a failure leaves nothing.

Whoever takes the maker for dead revokes the lease before deleting anything, and the maker asks for it before it writes the
manifest. So a maker that was only slow never makes a backup visible whose parts are gone. Not here: sweeping (sweep.py).
"""

import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.backup.catalog import write_document
from herald_pipelines.backup.facts import LEASE, MANIFEST, Lease, Manifest, Part
from herald_pipelines.backup.keys import BackupKey
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.sealing import seal
from herald_pipelines.errors import HeraldError, PermanentFailure, TransientFailure
from herald_pipelines.resources.object_store.base import ObjectMissing

BEAT_SECONDS = 30.0
"""Between two renewals."""
MOST_MISSED_BEATS = 20
"""Renewals that may fail in a row, ten minutes: far less than the grace after which a backup is swept."""
MOST_LEASE_BYTES = 64 * 1024
"""Of a lease."""
REVOKED = b'"revoked": true'
"""What a revoked lease says, as it is written."""


@dataclass
class Making:
    """A backup that is being made."""

    repository: Repository
    prefix: str
    key: BackupKey
    lease: Lease
    missed_beats: int = 0
    is_lost: bool = False
    is_publishing: bool = False
    """The manifest may be in the store, whatever its writing said."""

    def seal_part(
        self,
        name: str,
        object_name: str,
        source: Iterable[bytes],
        on_progress: Callable[[int, int], None],
        before_complete: Callable[[], None],
    ) -> Part:
        """Encrypt a stream into an object of the backup, and make it visible when all is well.

        Args:
            name: of the part.
            object_name: of its object.
            source: clear chunks.
            on_progress: told (clear bytes, stored bytes) so far.
            before_complete: raises when the source did not end well.

        Raises:
            HeraldError: of the kind that fits; the object is not there then.
        """
        secret = self.key.secret
        with self.repository.store.upload(self.prefix + object_name) as upload:
            sealed = seal(source, upload, secret, self.repository.gpg(secret), on_progress=on_progress)
            before_complete()
            self.require_lease()
            upload.complete()
        return Part(
            name=name,
            object=object_name,
            clear_bytes=sealed.clear_bytes,
            clear_sha256=sealed.clear_sha256,
            stored_bytes=sealed.stored_bytes,
            stored_sha256=sealed.stored_sha256,
            seconds=round(sealed.seconds, 3),
        )

    def publish(self, manifest: Manifest) -> None:
        """Write the manifest, once every part is in the store as it says.

        Raises:
            PermanentFailure: a part is missing or of another size, or the lease was revoked.
        """
        for part in manifest.parts:
            found = self.repository.store.stat(self.prefix + part.object).size_bytes
            if found != part.stored_bytes:
                raise PermanentFailure(
                    f"{part.object} has {found} bytes in the store and {part.stored_bytes} were written"
                )
        self.require_lease()
        self.is_publishing = True
        write_document(self.repository, self.prefix + MANIFEST, manifest, replace=False)
        if self.is_revoked():
            # We stood still between the two, and its parts are being removed.
            self.repository.store.delete(self.prefix + MANIFEST)
            self.require_lease()

    def require_lease(self) -> None:
        """Raise unless the lease is still ours.

        Raises:
            PermanentFailure: it was revoked, or could not be renewed for too long.
        """
        if self.is_lost:
            raise TransientFailure(f"the lease of {self.lease.backup} could not be renewed for too long")
        if self.is_revoked():
            raise PermanentFailure(
                f"the lease of {self.lease.backup} was revoked: somebody took this backup for dead",
                hint="this host was stopped for a while, or its clock is wrong",
            )

    def beat(self) -> None:
        """Renew the lease."""
        try:
            if self.is_revoked():
                self.is_lost = True
                return
            self.lease = self.lease.model_copy(update={"beat": self.lease.beat + 1})
            write_document(self.repository, self.prefix + LEASE, self.lease, replace=True)
            self.missed_beats = 0
        except HeraldError:
            self.missed_beats += 1
            self.is_lost = self.missed_beats > MOST_MISSED_BEATS

    def is_revoked(self) -> bool:
        """Whether somebody took us for dead."""
        try:
            text = self.repository.store.get(self.prefix + LEASE, most_bytes=MOST_LEASE_BYTES)
        except ObjectMissing:
            return True
        return REVOKED in text


@contextmanager
def making(
    repository: Repository, prefix: str, backup_id: str, *, run_id: str | None, now: datetime
) -> Generator[Making]:
    """Hold the lease of a new backup for a block, which publishes its manifest. When the block fails nothing is left.

    Raises:
        ObjectExists: there is a backup of that id.
        HeraldError: of the kind that fits.
    """
    with leasing(repository, prefix, backup_id, run_id=run_id, now=now) as work:
        try:
            yield work
        except BaseException:
            # What cannot be removed now is swept later.
            with suppress(HeraldError):
                if not work.is_publishing:
                    remove_unfinished(repository, prefix)
            raise


@contextmanager
def leasing(
    repository: Repository, prefix: str, backup_id: str, *, run_id: str | None, now: datetime
) -> Generator[Making]:
    """Hold the lease of a folder for a block: nobody else makes, rekeys or removes this backup meanwhile.

    Raises:
        ObjectExists: somebody holds it, or held it and was killed: it is swept later.
        HeraldError: of the kind that fits.
    """
    lease = Lease(
        backup=backup_id, host=repository.host, pid=os.getpid(), run_id=run_id, started_at=now, beat=0
    )
    write_document(repository, prefix + LEASE, lease, replace=False)
    work = Making(repository, prefix, repository.ring.current, lease)
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(BEAT_SECONDS):
            work.beat()

    beating = threading.Thread(target=keep, daemon=True)
    beating.start()
    is_done = False
    try:
        yield work
        is_done = True
    finally:
        ended.set()
        beating.join()
        # Where the manifest may be there or not, the lease stays: sweeping finds out.
        with suppress(HeraldError):
            if (is_done or not work.is_publishing) and not work.is_revoked():
                repository.store.delete(prefix + LEASE)


def remove_unfinished(repository: Repository, prefix: str) -> int:
    """Remove all of a backup without a manifest, its lease last; returns the number of objects and uploads.

    Raises:
        PermanentFailure: it has a manifest.
        StoreUnavailable, StoreRefused: not all is removed.
    """
    store = repository.store
    found = [each.key for each in store.list(prefix)]
    if prefix + MANIFEST in found:
        raise PermanentFailure(f"{prefix} is a backup: it is not removed as unfinished")
    count = store.abandon_uploads(prefix)
    for key in sorted(found, key=lambda each: each == prefix + LEASE):
        store.delete(key)
        count += 1
    return count
