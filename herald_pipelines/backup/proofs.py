"""What a verification found, written beside the backup and signed. A failed one is written as well.

Not here: verifying (verify.py, deep.py).
"""

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from herald_pipelines.backup.catalog import manifest_sha256, read_again, write_document
from herald_pipelines.backup.facts import PROOFS, Proof, Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.errors import TransientFailure

MOST_REASON_LETTERS = 2000


class Unproven(Damaged):
    """What a backup holds is not what it should."""

    def __init__(self, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.details = details


def conclude(
    repository: Repository,
    backup: Backup,
    scope: Scope,
    verify: Callable[[], Mapping[str, Any]],
    *,
    now: datetime,
) -> Proof:
    """Verify a backup, and write what came of it as a proof.

    Args:
        repository: where the backup is.
        backup: as it was read.
        scope: how far `verify` looks.
        verify: returns details; raises Damaged for a verdict, anything else for none.
        now: when it begins.

    Raises:
        TransientFailure: it was rekeyed meanwhile, or the store is not reached: there is no verdict.
        BackupGone, BackupChanged: it was deleted meanwhile, or there is another in its place.
        HeraldError: whatever else `verify` raised.
    """
    started = time.monotonic()
    reason: str | None = None
    try:
        details = verify()
    except Damaged as error:
        reason = error.message[:MOST_REASON_LETTERS]
        details = error.details if isinstance(error, Unproven) else dict[str, Any]()
    _, signed = read_again(repository, backup)
    if manifest_sha256(signed) != backup.manifest_sha256:
        raise TransientFailure(f"{backup.manifest.id} was rekeyed while it was verified")
    seconds = round(time.monotonic() - started, 3)
    proof = Proof(
        backup=backup.manifest.id,
        content_sha256=backup.content_sha256,
        manifest_sha256=backup.manifest_sha256,
        scope=scope,
        passed=reason is None,
        reason=reason,
        at=now + timedelta(seconds=seconds),
        seconds=seconds,
        host=repository.host,
        details=details,
    )
    name = f"{proof.at:%Y%m%dT%H%M%SZ}-{scope}-{secrets.token_hex(4)}.json"
    write_document(repository, f"{backup.manifest.prefix}{PROOFS}/{name}", proof, replace=False)
    return proof
