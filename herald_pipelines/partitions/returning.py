"""Brings a partition back: one within its grace is attached again, one that was dropped comes from its archive.

    detached -> checked -> renamed and attached in one transaction
    archived -> restored beside, in one transaction -> its rows compared -> the same

A run that dies in between leaves a table that the next takes up, once its rows are those of the archive. Not here: which one
is meant (finding.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_archive import clear_archives, list_archive
from herald_pipelines.errors import GuardRefusal, PermanentFailure
from herald_pipelines.partitions.attaching import attach
from herald_pipelines.partitions.bounds import read_span
from herald_pipelines.partitions.content import CONTENT_SECONDS, read_columns, read_content
from herald_pipelines.partitions.facts import Content, Inventory, Lifecycle, Parent, Relation
from herald_pipelines.partitions.lifecycle import Step
from herald_pipelines.partitions.proving import restore_listed
from herald_pipelines.partitions.restoring import own_entries
from herald_pipelines.partitions.rules import Rule
from herald_pipelines.partitions.work import Work
from herald_pipelines.resources.clients import find_clients
from herald_pipelines.resources.postgres import Session
from herald_pipelines.settings import PartitionSettings
from herald_pipelines.values import Say, quote_identifier


@dataclass(frozen=True)
class Return:
    """A partition that can be brought back, and how."""

    name: str
    """schema.name as it was attached."""
    parent: str
    bound: str
    relation: Relation | None
    """The table, while it is only detached."""
    lifecycle: Lifecycle | None
    backup: Backup | None
    """Its archive; none for one that is only detached."""
    rows: int | None

    @property
    def schema(self) -> str:
        """Of the partition."""
        if self.relation is not None:
            return self.relation.schema
        assert self.backup is not None  # noqa: S101 - one of both is there
        assert self.backup.manifest.partition is not None  # noqa: S101
        return self.backup.manifest.partition.schema_name

    @property
    def own_name(self) -> str:
        """Without its schema."""
        return self.name.removeprefix(self.schema + ".")

    def steps(self) -> tuple[str, ...]:
        """Say what would be done."""
        attach = f"attach it to {self.parent} {self.bound}"
        if self.relation is not None:
            return (f"rename {self.relation.label} to {self.name}", attach)
        assert self.backup is not None  # noqa: S101 - one of both is there
        return (
            f"restore {self.name} from {self.backup.manifest.id}, beside its table",
            f"compare its {self.rows} rows with the archive",
            attach,
        )


def find_refusals(
    session: Session, wanted: Return, inventory: Inventory, rules: Mapping[int, Rule], *, is_left: bool
) -> tuple[str, ...]:
    """Return why a partition cannot be brought back; nothing when it can.

    Args:
        session: read-only, as the role that would do it.
        wanted: what is to be brought back.
        inventory: what there is.
        rules: by oid of their table.
        is_left: an interrupted run has begun with it: its table may be there.
    """
    parent = next((each for each in inventory.parents if each.label == wanted.parent), None)
    if parent is None:
        return (f"there is no partitioned table {wanted.parent} any more",)
    reasons: list[str] = []
    found = session.fetch("partitions/find_table", schema=wanted.schema, name=wanted.own_name)
    taken = found and not (is_left and found[0]["kind"] in ("r", "p") and not found[0]["is_partition"])
    if taken and not (wanted.relation and found[0]["oid"] == wanted.relation.oid):
        reasons.append(f"there is a {wanted.name} already")
    rule = rules.get(parent.oid, Rule(parent, PartitionSettings()))
    span = read_span(wanted.bound, rule.zone)
    for partition in parent.partitions:
        try:
            other = read_span(partition.bound, rule.zone)
        except ValueError:
            # The server looks too, and knows every calendar.
            continue
        if span is not None and other is not None and span.overlaps(other):
            reasons.append(f"{partition.label} holds rows of that time: {partition.bound}")
    return (*reasons, *_different_columns(session, wanted, parent))


def _different_columns(session: Session, wanted: Return, parent: Parent) -> tuple[str, ...]:
    if wanted.backup is None or wanted.backup.manifest.partition is None:
        return ()
    now, then = dict(read_columns(session, parent.oid)), dict(wanted.backup.manifest.partition.columns)
    return (
        *(f"{parent.label} has no column {name} any more" for name in then if name not in now),
        *(
            f"{parent.label} has got a column {name}, which the archive lacks"
            for name in now
            if name not in then
        ),
        *(
            f"column {name} of {parent.label} was {kind} and is {now[name]}"
            for name, kind in then.items()
            if name in now and now[name] != kind
        ),
    )


def bring_back(
    work: Work, wanted: Return, parent: Parent, place: Repository | None, programs: Mapping[int, Path]
) -> dict[str, Any]:
    """Bring a partition back, between two ledger rows, and return what the ledger keeps of it.

    Args:
        work: the session, the ledger and the patience.
        wanted: what is brought back.
        parent: its table.
        place: where its archive is; None for one that is only detached.
        programs: folders of PostgreSQL's programs by major version, of the settings.

    Raises:
        LockTimeout: others hold it.
        PermanentFailure: what was restored is not what was archived, or the server refused it.
        HeraldError: of the kind that fits.
    """
    if wanted.relation is not None:
        return _attach(work, wanted, parent, wanted.relation.oid)
    if wanted.backup is None or place is None:
        raise PermanentFailure(f"{wanted.name} has no archive")
    evidence = {
        "step": Step.RESTORE.value,
        "parent": parent.label,
        "bound": wanted.bound,
        "backup": wanted.backup.manifest.id,
    }
    with work.action(wanted.name, None, evidence) as action:
        action.result.update(_restore(work, wanted, parent, place, programs))
    return action.result


def _restore(
    work: Work, wanted: Return, parent: Parent, place: Repository, programs: Mapping[int, Path]
) -> dict[str, Any]:
    assert wanted.backup is not None  # noqa: S101 - asked for by bring_back
    manifest = wanted.backup.manifest
    facts = manifest.partition
    if facts is None or manifest.database is None:
        raise PermanentFailure(f"{manifest.id} is no archive of a partition")
    names = dict.fromkeys((facts.name, facts.attached_name))
    there = next((each for each in names if _find_oid(work, facts.schema_name, each) is not None), None)
    if there is None:
        _fill(work, wanted.backup, place, programs, work.say)
        there = facts.name
    oid = _find_oid(work, facts.schema_name, there)
    if oid is None:
        raise PermanentFailure(f"pg_restore did not make {facts.schema_name}.{there}")
    table = quote_identifier(facts.schema_name, there)
    work.say(f"comparing the {facts.rows} rows of {wanted.name} with the archive")
    with work.timeouts(lock_seconds=work.target.lock_timeout_seconds, statement_seconds=CONTENT_SECONDS):
        content = read_content(work.session, table, [name for name, _ in facts.columns], is_local=False)
        if content != Content(facts.rows, facts.digest):
            raise GuardRefusal(
                f"{facts.schema_name}.{there} holds {content.rows} rows that are not those of {manifest.id}",
                hint="it is not attached; look at it, and rename or drop it",
            )
    _attach(work, wanted, parent, oid)
    return {"oid": oid, "backup": manifest.id, "rows": content.rows, "digest": content.digest}


def _fill(work: Work, backup: Backup, place: Repository, programs: Mapping[int, Path], say: Say) -> None:
    """Have pg_restore make the table with its rows, in one transaction."""
    manifest = backup.manifest
    facts = manifest.partition
    assert facts is not None  # noqa: S101 - asked for by _restore
    clients = find_clients(work.identity.major, programs)
    with clear_archives(place, manifest, say) as (dump,):
        entries = list_archive(clients, dump)
        say(f"restoring {facts.schema_name}.{facts.attached_name}: {facts.rows} rows")
        target = replace(work.target, task=work.task)
        restore_listed(
            clients, place, dump, target, entries, own_entries(entries, facts), ("--single-transaction",)
        )


def _attach(work: Work, wanted: Return, parent: Parent, oid: int) -> dict[str, Any]:
    """Attach a table between two ledger rows of its own, which know its oid before it is a partition."""
    evidence = {"step": Step.ATTACH.value, "parent": parent.label, "bound": wanted.bound}
    with work.action(wanted.name, oid, evidence) as action:
        attach(work, parent, oid, wanted.own_name, wanted.bound)
        action.result["oid"] = oid
    return action.result


def _find_oid(work: Work, schema: str, name: str) -> int | None:
    rows = work.session.fetch("partitions/find_table", schema=schema, name=name)
    return rows[0]["oid"] if rows else None
