"""Archives what a plan says, one partition after the other, each between two ledger rows, and proves each.

An archive that an interrupted run left is taken up where it holds the very rows. Not here: making one (archive.py), proving
one (proving.py).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herald_pipelines.backup.catalog import content_sha256, manifest_sha256, read_manifest
from herald_pipelines.backup.database import Origin, sharing_snapshot
from herald_pipelines.backup.facts import Kind, Manifest, Proof, Scope
from herald_pipelines.backup.inventory import Backup, Catalog
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.scratch import ScratchServer, scratch_server
from herald_pipelines.errors import DatabaseUnavailable, HeraldError
from herald_pipelines.ledger import Action as Entry
from herald_pipelines.ledger import Ledger
from herald_pipelines.partitions.archive import Unit, archive_partition, read_unit
from herald_pipelines.partitions.facts import Parent
from herald_pipelines.partitions.lifecycle import Step
from herald_pipelines.partitions.plan import Action, Item
from herald_pipelines.partitions.proving import prove_in
from herald_pipelines.partitions.report import Done
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import DatabaseIdentity, Outcome, Say, utc_now


@dataclass
class Archivist:
    """What archiving works with."""

    place: Repository
    catalog: Catalog
    target: Postgres
    """Address of the capability `backup`."""
    identity: DatabaseIdentity
    programs: Mapping[int, Path]
    ledger: Ledger
    task: str
    window: str
    origin: Origin
    parents: Mapping[int, Parent]
    remember: Callable[[Manifest, Proof], None]
    """Told of each archive that was proven, or not."""
    left_seconds: Callable[[], float]
    say: Say
    done: list[Done] = field(default_factory=list[Done])

    def archive(self, items: Iterable[Item]) -> list[Done]:
        """Archive and prove, as far as the time goes.

        Raises:
            DatabaseUnavailable: a server went away; the next run goes on.
            HeraldError: the ledger could not be written; then nothing further is done.
        """
        wanted = [each for each in items if each.action is Action.ARCHIVE]
        with ExitStack() as stack:
            server: ScratchServer | None = None
            for item in wanted:
                if self.left_seconds() <= 0:
                    self.done.append(
                        Done(item.name, Step.ARCHIVE, Outcome.SKIPPED, "the time budget is used up")
                    )
                    continue
                if server is None:
                    server = stack.enter_context(
                        scratch_server(self.identity.major, self.programs, self.place.work_folder)
                    )
                self.done.append(self._take(item, server))
        return self.done

    def _take(self, item: Item, server: ScratchServer) -> Done:
        unit = self._unit(item)
        evidence = {
            "step": Step.ARCHIVE.value,
            "parent": f"{unit.parent_schema}.{unit.parent_name}",
            "bound": unit.bound,
            "size_bytes": item.size_bytes,
            "reason": item.reason,
        }
        # What the ledger itself raises ends the run.
        with self.ledger.action(
            self.identity,
            self.task,
            self.window,
            object_name=unit.attached_name,
            object_oid=item.oid,
            evidence=evidence,
        ) as action:
            try:
                self._archive(unit, server, action)
            except DatabaseUnavailable:
                raise
            except HeraldError as error:
                action.outcome, action.reason = Outcome.FAILED, error.message
        return Done(item.name, Step.ARCHIVE, action.outcome, action.reason, action.result)

    def _archive(self, unit: Unit, server: ScratchServer, entry: Entry) -> None:
        """Make or take up an archive, prove it, and say in the ledger's row what it is."""
        backup = self._find_left(unit)
        if backup is None:
            now = utc_now()
            manifest = archive_partition(
                self.place,
                self.target,
                self.identity,
                self.programs,
                unit,
                origin=self.origin,
                now=now,
                say=self.say,
            )
            backup = _read_backup(self.place, manifest)
        proof = backup.proof(Scope.RESTORED)
        if proof is None:
            proof = prove_in(server, self.place, backup, now=utc_now(), say=self.say)
        self.remember(backup.manifest, proof)
        entry.result.update(_result(backup.manifest, proof))
        if not proof.passed:
            entry.outcome, entry.reason = Outcome.FAILED, f"its archive is not right: {proof.reason}"

    def _unit(self, item: Item) -> Unit:
        lifecycle = item.lifecycle
        if item.partition is not None:
            parent = self.parents[item.partition.parent_oid]
            bound, name = item.partition.bound, item.partition.label
            return Unit(item.oid, name, parent.schema, parent.name, bound, item.size_bytes)
        said: Mapping[str, Any] = (lifecycle.detach if lifecycle else None) or {}
        parent = self.parents[said["parent_oid"]]
        return Unit(
            item.oid, said["attached_name"], parent.schema, parent.name, said["bound"], item.size_bytes
        )

    def _find_left(self, unit: Unit) -> Backup | None:
        """Return an archive of the very rows that an interrupted run left."""
        left = [
            each
            for each in self.catalog.of(Kind.PARTITION, self.identity.name)
            if not each.missing
            and not any(not proof.passed for proof in each.proofs)
            and (facts := each.manifest.partition) is not None
            and (facts.oid, facts.bound) == (unit.oid, unit.bound)
            and (database := each.manifest.database) is not None
            and (database.system_identifier, database.database_oid)
            == (self.identity.system_identifier, self.identity.database_oid)
        ]
        if not left:
            return None
        with sharing_snapshot(self.target, self.identity) as (session, _):
            now, _ = read_unit(session, unit)
        return next((each for each in reversed(left) if each.manifest.partition == now), None)


def _read_backup(place: Repository, manifest: Manifest) -> Backup:
    """Return a backup that has just become visible, as it lies in the store."""
    stored, signed = read_manifest(place, manifest.prefix)
    return Backup(stored, manifest_sha256(signed), content_sha256(signed), (), is_held=False, missing=())


def _result(manifest: Manifest, proof: Proof) -> dict[str, Any]:
    facts = manifest.partition
    assert facts is not None  # noqa: S101 - archives have them
    return {
        "backup": manifest.id,
        "bound": facts.bound,
        "rows": facts.rows,
        "digest": facts.digest,
        "clear_bytes": manifest.clear_bytes,
        "stored_bytes": manifest.stored_bytes,
        "restored_at": proof.at.isoformat(),
        "seconds": proof.seconds,
    }
