"""What is taken of an archive when its partition is put back, and what must be there before. Pure.

The archive's own entries make the table with its rows, indexes, constraints and rights; that it is attached, and to what, is
said by whoever restores. Not here: running pg_restore (proving.py, returning.py).
"""

from collections.abc import Collection, Sequence

from herald_pipelines.backup.facts import DatabaseFacts, PartitionFacts
from herald_pipelines.backup.restore_listing import Entry, choose
from herald_pipelines.backup.restore_refusals import Selection

NEVER = frozenset({"FK CONSTRAINT", "PUBLICATION TABLE"})
"""Foreign keys come from the parent when it is attached; those of its own refer to rows of another day."""
NOT_IN_SCRATCH = frozenset({"POLICY", "ROW SECURITY", "ACL", "SECURITY LABEL"})
"""What names roles, of which a throw-away server has none."""
NOT_NEEDED = (
    NEVER | NOT_IN_SCRATCH | {"TABLE DATA", "TABLE ATTACH", "INDEX ATTACH", "COMMENT", "USER MAPPING"}
)


def own_entries(
    entries: Sequence[Entry], facts: PartitionFacts, *, without: Collection[str] = frozenset()
) -> frozenset[int]:
    """Return which entries of an archive make the partition, detached.

    Args:
        entries: of the archive.
        facts: of its manifest.
        without: further kinds that are left out.
    """
    table = _begins(f"{facts.schema_name} {facts.name}")
    indexes = tuple(_begins(name) for name in facts.indexes)
    return frozenset(
        each.id
        for each in entries
        if each.kind not in NEVER
        and each.kind not in without
        and not (each.kind == "TABLE ATTACH" and each.rest.startswith(table))
        and not (each.kind == "INDEX ATTACH" and each.rest.startswith(indexes))
    )


def needed_entries(schema: Sequence[Entry], own: Sequence[Entry], facts: DatabaseFacts) -> frozenset[int]:
    """Return which entries of the schema the partition needs before it can be made: types, functions, extensions, sequences.

    Args:
        schema: entries of the archive's part `schema`.
        own: entries of its part `dump`.
        facts: of its manifest; its tables are those of the partition.
    """
    tables = [(each.schema_name, each.name) for each in facts.tables]
    chosen = choose(tuple(schema), Selection(tables=tuple(tables)), tables, facts.roles)
    there = {(each.kind, each.rest) for each in own}
    return frozenset(
        each.id
        for each in schema
        if each.id in chosen.ids and each.kind not in NOT_NEEDED and (each.kind, each.rest) not in there
    )


def _begins(name: str) -> str:
    """Write a name as a listing does, before its owner."""
    return name.replace("\n", " ").replace("\r", " ") + " "
