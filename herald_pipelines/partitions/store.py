"""Reads partitioned tables from the target's catalog, all in one pass. Not here: what follows from them (plan.py)."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from herald_pipelines.partitions.facts import Inventory, Parent, Partition, Relation
from herald_pipelines.resources.postgres import Session


def read_inventory(session: Session) -> Inventory:
    """Read every partitioned table with its partitions; needs no right on any table.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    children: defaultdict[int, list[Partition]] = defaultdict(list)
    for row in session.fetch("partitions/list_partitions"):
        children[row["parent_oid"]].append(Partition(**row))

    def whole(partition: Partition) -> Partition:
        below = [whole(each) for each in children.get(partition.oid, ())]
        if not below:
            return partition
        return replace(
            partition,
            size_bytes=partition.size_bytes + sum(each.size_bytes for each in below),
            estimated_rows=sum(each.estimated_rows for each in below),
            has_foreign=any(each.kind == "f" or each.has_foreign for each in below),
        )

    parents: list[Parent] = []
    for row in session.fetch("partitions/list_parents"):
        fields: dict[str, Any] = {
            **row,
            "publications": tuple(row["publications"] or ()),
            "referenced_by": tuple(row["referenced_by"] or ()),
            "partitions": tuple(whole(each) for each in children.get(row["oid"], ())),
        }
        parents.append(Parent(**fields))
    return Inventory(tuple(parents))


def find_relations(session: Session, oids: Collection[int]) -> dict[int, Relation]:
    """Return which oids are tables still."""
    if not oids:
        return {}
    rows = session.fetch("partitions/find_relations", oids=list(oids))
    return {row["oid"]: Relation(**row) for row in rows}


def list_dependants(session: Session, oids: Collection[int]) -> Mapping[int, tuple[str, ...]]:
    """Return by oid what needs a table itself, in PostgreSQL's words: views, foreign keys, publications, types."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    if oids:
        for row in session.fetch("partitions/list_dependants", oids=list(oids)):
            found[row["oid"]].append(row["dependant"])
    return {oid: tuple(each) for oid, each in found.items()}
