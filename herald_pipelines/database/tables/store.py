"""What the target database tells about its tables, and the ledger of what was done. Reads only. Not here: judging it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from herald_pipelines.database.rights import explain_missing_right
from herald_pipelines.database.tables.facts import DatabaseFacts, Holder, Rules, TableFacts
from herald_pipelines.resources.postgres import Postgres, Row, Session
from herald_pipelines.values import DatabaseIdentity


def read_facts(session: Session) -> DatabaseFacts:
    """Read every table of a database, ordered by schema and name, with the server's rules and who holds the horizon.

    Six catalog queries, whatever the number of tables. A role with pg_monitor gets everything but missing statistics, which
    are then null; without it nobody's snapshots either, and the notes say so.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    session.execute("set jit = off")
    rules = Rules(**session.fetch_one("tables/read_rules"))
    lacking: frozenset[int] | None = None
    if rules.sees_statistics:
        lacking = frozenset(row["oid"] for row in session.fetch("tables/list_missing_statistics"))
    tables = [_facts(row, lacking) for row in session.fetch("tables/read_tables")]
    children: dict[int, list[int]] = defaultdict(list)
    for row in session.fetch("tables/list_partitions"):
        children[row["parent_oid"]].append(row["child_oid"])
    by_oid = {table.oid: table for table in tables}
    return DatabaseFacts(
        rules=rules,
        tables=tuple(
            _add_leaves(table, _leaves(table.oid, children, by_oid)) if table.is_partitioned else table
            for table in tables
        ),
        holders=read_holders(session),
        notes=_notes(rules),
    )


def read_holders(session: Session) -> tuple[Holder, ...]:
    """Return who keeps rows that died lately from being removed, the oldest first.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    return tuple(Holder(**row) for row in session.fetch("tables/list_holders"))


def read_done(ops: Postgres, identity: DatabaseIdentity, task: str, window: str) -> frozenset[int]:
    """Return the oids of what a task has done in a window already, by the ledger.

    Raises:
        HeraldError: the ops database could not be read.
    """
    with ops.session() as session:
        rows = session.fetch(
            "tables/list_done",
            database=identity.name,
            system_identifier=identity.system_identifier,
            database_oid=identity.database_oid,
            task=task,
            window=window,
        )
    return frozenset(row["oid"] for row in rows)


def find_forbidden(session: Session, oids: Sequence[int]) -> Mapping[int, str]:
    """Return, for those of some tables that the session's role may not maintain, why and what would allow it.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    rows = session.fetch("tables/find_forbidden", oids=list(oids))
    return {row["oid"]: explain_missing_right(row, "vacuum and analyze it") for row in rows}


def _facts(row: Row, lacking: frozenset[int] | None) -> TableFacts:
    values: dict[str, Any] = dict(row)
    for name in ("options", "toast_options"):
        values[name] = dict(option.split("=", maxsplit=1) for option in values[name])
    return TableFacts(**values, lacks_statistics=None if lacking is None else row["oid"] in lacking)


def _leaves(
    oid: int, children: Mapping[int, Sequence[int]], tables: Mapping[int, TableFacts]
) -> list[TableFacts]:
    """Return the partitions of all levels that hold rows; foreign ones are not among the tables."""
    found: list[TableFacts] = []
    for child in children.get(oid, ()):
        table = tables.get(child)
        if table is not None:
            found += _leaves(child, children, tables) if table.is_partitioned else [table]
    return found


def _add_leaves(table: TableFacts, leaves: Sequence[TableFacts]) -> TableFacts:
    return replace(
        table,
        leaf_rows=float(sum(leaf.live_rows if leaf.tuples is None else leaf.tuples for leaf in leaves)),
        leaf_modified_rows=sum(leaf.modified_rows for leaf in leaves),
        leaf_bytes=sum(leaf.size_bytes for leaf in leaves),
        leaves_analyzed_at=max((leaf.analyzed_at for leaf in leaves if leaf.analyzed_at), default=None),
    )


def _notes(rules: Rules) -> tuple[str, ...]:
    notes: list[str] = []
    if not rules.counts_are_kept:
        notes.append("track_counts is off: dead and modified rows are not known")
    if not rules.sees_sessions:
        notes.append(
            f"role {rules.role!r} may not see other sessions: who keeps dead rows from being removed is not visible"
        )
    if not rules.sees_statistics:
        notes.append(
            f"role {rules.role!r} may not read pg_statistic: only of tables that nobody has analyzed yet is known"
            " that statistics are missing"
        )
    return tuple(notes)
