"""A drill: the newest backup of everything restored as if all were lost, compared, measured, and torn down again.

Databases go into a server of their own, trees into a folder of their own; both lie in the work folder. The report goes into
the store. Not here: judging a restored database (deep.py), a restored tree (compare.py).
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.backup.compare import compare_tree
from herald_pipelines.backup.deep import prove_backup
from herald_pipelines.backup.extract import extract_into
from herald_pipelines.backup.facts import Kind, Proof, Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.proofs import Unproven, conclude
from herald_pipelines.backup.repository import Repository
from herald_pipelines.resources.own_folder import own_folder
from herald_pipelines.settings import BackupSettings
from herald_pipelines.settings.backup import Objectives
from herald_pipelines.values import Say, format_seconds

REPORTS = "reports"
"""First part of the keys of reports: beside the backups, not among them."""


DRILL = "drill-"
"""Beginning of the folders that trees are extracted into."""


@dataclass(frozen=True)
class Drilled:
    """What a drill of one backup found."""

    backup: Backup
    proof: Proof
    rto_seconds: float
    """From the decision until it could be used: fetched, decrypted, restored. Comparing is not part of it."""
    rpo_seconds: float
    """Age of the backup: what was written since is lost."""

    def meets(self, objectives: Objectives) -> bool:
        """Whether it was restored in time, and recent enough."""
        return self.rto_seconds <= objectives.rto_seconds and self.rpo_seconds <= objectives.rpo_seconds

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "backup": self.backup.manifest.id,
            "kind": self.backup.manifest.kind.value,
            "name": self.backup.manifest.name,
            "passed": self.proof.passed,
            "reason": self.proof.reason,
            "rto_seconds": self.rto_seconds,
            "rpo_seconds": self.rpo_seconds,
            "seconds": self.proof.seconds,
            "details": dict(self.proof.details),
        }


def drill_backup(
    repository: Repository, backup: Backup, settings: BackupSettings, *, now: datetime, say: Say
) -> Drilled:
    """Drill with one backup of whatever kind, and say what came of it.

    Raises:
        HeraldError: whatever hinders a verdict.
    """
    if backup.manifest.kind is Kind.DATABASE:
        drilled = drill_database(repository, backup, settings, now=now, say=say)
    else:
        drilled = drill_files(repository, backup, now=now, say=say)
    say(summarize(drilled))
    return drilled


def drill_database(
    repository: Repository, backup: Backup, settings: BackupSettings, *, now: datetime, say: Say
) -> Drilled:
    """Restore a database from the store into a server of its own, and judge it.

    Raises:
        As `prove_backup`.
    """
    queries = settings.queries.get(backup.manifest.name, ())
    proof = prove_backup(repository, backup, settings.programs, queries, now=now, say=say)
    return _measure(backup, proof, now)


def drill_files(repository: Repository, backup: Backup, *, now: datetime, say: Say) -> Drilled:
    """Extract trees from the store into a folder of their own, and compare every file.

    Raises:
        HeraldError: whatever hinders a verdict.
    """

    def extract_and_compare() -> Mapping[str, Any]:
        with own_folder(repository.work_folder, DRILL) as folder:
            started = time.monotonic()
            extract_into(repository, backup.manifest, folder, say=say)
            details = {"restore_seconds": round(time.monotonic() - started, 3)}
            comparison = compare_tree(repository, backup, folder)
            details |= comparison.document()
        if not comparison.is_equal:
            raise Unproven(f"{comparison.differences} files are not as they were backed up", details)
        return details

    return _measure(backup, conclude(repository, backup, Scope.RESTORED, extract_and_compare, now=now), now)


def write_report(
    repository: Repository,
    drilled: Sequence[Drilled],
    objectives: Objectives,
    *,
    window: str,
    name: str,
    now: datetime,
) -> str:
    """Put the report of a drill into the store, and return its key.

    Raises:
        StoreUnavailable, StoreRefused: it is not written, or not known to be.
    """
    key = f"{REPORTS}/{repository.platform}/{repository.host}/drill-{name}-{now:%Y%m%dT%H%M%SZ}.json"
    report = {
        "format": 1,
        "window": window,
        "at": now.isoformat(),
        "objectives": objectives.model_dump(),
        "backups": [each.document() for each in drilled],
    }
    repository.store.put(key, json.dumps(report, indent=1, default=str).encode())
    return key


def summarize(drilled: Drilled) -> str:
    """Say in a sentence what a drill found."""
    verdict = "passed" if drilled.proof.passed else f"FAILED: {drilled.proof.reason}"
    return (
        f"{drilled.backup.manifest.id}: {verdict}; usable after {format_seconds(drilled.rto_seconds)},"
        f" {format_seconds(drilled.rpo_seconds)} of writing lost"
    )


def _measure(backup: Backup, proof: Proof, now: datetime) -> Drilled:
    return Drilled(
        backup,
        proof,
        rto_seconds=float(proof.details.get("restore_seconds", proof.seconds)),
        rpo_seconds=round((now - backup.manifest.started_at).total_seconds(), 3),
    )
