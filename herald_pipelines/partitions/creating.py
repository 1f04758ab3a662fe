"""Makes one partition ahead of time, with the definition of its newest sibling, in one transaction.

Columns, checks and statistics come from the parent, its indexes and foreign keys with attaching; storage, tablespace, owner,
privileges and local indexes from the sibling. The table is made beside and then attached, because PARTITION OF would lock
the parent against everybody. Not here: which ones (upcoming.py), the ledger's rows (making.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from herald_pipelines.errors import GuardRefusal
from herald_pipelines.partitions.bounds import write_moment
from herald_pipelines.partitions.facts import Parent
from herald_pipelines.partitions.upcoming import NewPartition
from herald_pipelines.partitions.work import BRIEF_SECONDS, Work
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.values import quote_identifier

REPLICA_IDENTITIES = {"n": "nothing", "f": "full"}
"""pg_class.relreplident that needs no index of its own."""


@dataclass(frozen=True)
class DefaultRows:
    """Rows of a new partition's time that lie in the default partition."""

    rows: int
    """At most one more than may be moved."""
    hindrance: str | None
    """Why they are not moved."""


def find_default_rows(session: Session, new: NewPartition) -> DefaultRows:
    """Look for rows that the default partition holds and a new one would.

    Args:
        session: of a role that may read the default partition.
        new: the new partition.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    parent, most = new.rule.parent, new.rule.settings.move_default_rows
    default = parent.default
    if default is None:
        return DefaultRows(0, None)
    row = session.execute(
        f"select count(*) as rows from (select from {default.sql.replace('%', '%%')}"  # noqa: S608 - identifiers are quoted
        f" where {_condition(new)} limit {most + 1}) as t",
        _limits(new),
    )[0]
    rows = int(row["rows"])
    if not rows:
        return DefaultRows(0, None)
    if rows > most:
        known = f"{most} or more" if most else "some"
        return DefaultRows(
            rows,
            f"{default.label} holds {known} rows of that time, and its rule moves {most} (move_default_rows)",
        )
    if parent.referenced_by:
        return DefaultRows(rows, f"moving rows would touch foreign key {parent.referenced_by[0]}")
    run = session.fetch("partitions/find_delete_triggers", oid=default.oid)
    if run:
        return DefaultRows(rows, f"moving rows of {default.label} would run {run[0]['name']}")
    return DefaultRows(rows, None)


def create(work: Work, new: NewPartition) -> dict[str, Any]:
    """Make a partition, attached and whole, or nothing; return what the ledger keeps of it.

    Args:
        work: the session and its patience.
        new: what is made.

    Raises:
        GuardRefusal: the default partition holds rows of it that are not to be moved.
        LockTimeout: others hold the parent.
        PermanentFailure: the server refused it: a right is missing, the name is taken.
        HeraldError: of the kind that fits.
    """
    found = find_default_rows(work.session, new)
    if found.hindrance is not None:
        raise GuardRefusal(
            found.hindrance, hint="its rows stay where they are, and the partition is not made"
        )
    result: dict[str, Any] = {"moved_rows": 0, "not_copied": []}

    def change() -> None:
        result["not_copied"] = _define(work.session, new)
        if new.rule.parent.default is not None:
            result["moved_rows"] = _move(work.session, new)
        parent = new.rule.parent
        names = f"alter table {parent.sql} attach partition {_name(new)}".replace("%", "%%")
        work.session.execute(f"{names} for values from (%(lower)s) to (%(upper)s)", _limits(new))
        row = work.session.fetch_one("partitions/find_table", schema=new.schema, name=new.name)
        result["oid"] = row["oid"]

    seconds = work.target.statement_timeout_seconds
    if not found.rows:
        seconds = min(seconds, BRIEF_SECONDS)
    with work.timeouts(lock_seconds=work.target.lock_timeout_seconds, statement_seconds=seconds):
        work.attempt(change, f"creating {new.label}")
    return result


def _name(new: NewPartition) -> str:
    return quote_identifier(new.schema, new.name)


def _define(session: Session, new: NewPartition) -> list[str]:
    """Make the table as its sibling is, and return what of the sibling is not copied."""
    row = session.fetch_one("partitions/read_definition", oid=new.sibling.oid)
    table = _name(new)
    _set_tablespace(session, row["tablespace"])
    kind = "unlogged table" if row["is_unlogged"] else "table"
    using = f" using {quote_identifier(row['access_method'])}" if row["access_method"] else ""
    session.execute(
        f"create {kind} {table} (like {new.rule.parent.sql} including all"
        f" excluding comments excluding indexes excluding identity){using}"
    )
    _set_options(session, table, row)
    for statement in _settings(table, row):
        session.execute(statement)
    not_copied = _add_indexes(session, new, table)
    # Indexes that come with attaching lie where the parent's do.
    _set_tablespace(session, "")
    # First, because what is granted to whom the table is taken from would go with it.
    session.execute(f"alter table {table} owner to {quote_identifier(row['owner'])}")
    _grant(session, new, table)
    if row["is_comment_shared"] and row["comment"] is not None:
        session.execute(
            "comment on table " + table.replace("%", "%%") + " is %(comment)s", {"comment": row["comment"]}
        )
    if row["policies"]:
        not_copied.append(f"{row['policies']} policies")
    if row["triggers"]:
        not_copied.append(f"{row['triggers']} triggers of its own")
    if row["replica_identity"] == "i":
        not_copied.append("its replica identity, which is an index")
    return not_copied


def _set_options(session: Session, table: str, row: Row) -> None:
    pairs = [each.partition("=") for each in row["options"]]
    pairs += [
        (f"toast.{name}", dot, value)
        for name, dot, value in (each.partition("=") for each in row["toast_options"])
    ]
    for name, _, value in pairs:
        quoted = ".".join(quote_identifier(each) for each in name.split("."))
        session.execute(
            f"alter table {table.replace('%', '%%')} set ({quoted} = %(value)s)", {"value": value}
        )


def _settings(table: str, row: Row) -> list[str]:
    statements: list[str] = []
    if row["replica_identity"] in REPLICA_IDENTITIES:
        statements.append(
            f"alter table {table} replica identity {REPLICA_IDENTITIES[row['replica_identity']]}"
        )
    if row["has_row_security"]:
        statements.append(f"alter table {table} enable row level security")
    if row["forces_row_security"]:
        statements.append(f"alter table {table} force row level security")
    return statements


def _add_indexes(session: Session, new: NewPartition, table: str) -> list[str]:
    not_copied: list[str] = []
    for row in session.fetch("partitions/list_local_indexes", oid=new.sibling.oid):
        _set_tablespace(session, row["tablespace"])
        if row["constraint_definition"] is not None:
            session.execute(f"alter table {table} add {row['constraint_definition']}")
        elif row["definition"] is not None:
            unique = "unique " if row["is_unique"] else ""
            session.execute(f"create {unique}index on {table} {row['definition']}")
        else:
            not_copied.append(f"index {row['name']}")
    return not_copied


def _grant(session: Session, new: NewPartition, table: str) -> None:
    """Give the rights that the sibling gives, and no others: default privileges may have given some."""
    own = session.fetch_one("partitions/find_table", schema=new.schema, name=new.name)["oid"]
    given = {_right(row) for row in session.fetch("partitions/list_grants", oid=own)}
    wanted = {_right(row) for row in session.fetch("partitions/list_grants", oid=new.sibling.oid)}
    for column, privilege, _, grantee in sorted(given - wanted, key=str):
        session.execute(f"revoke {_privilege(privilege, column)} on {table} from {_grantee(grantee)}")
    for column, privilege, is_grantable, grantee in sorted(wanted - given, key=str):
        option = " with grant option" if is_grantable else ""
        session.execute(f"grant {_privilege(privilege, column)} on {table} to {_grantee(grantee)}{option}")


def _right(row: Row) -> tuple[str | None, str, bool, str | None]:
    return row["column_name"], row["privilege"], row["is_grantable"], row["grantee"]


def _privilege(privilege: str, column: str | None) -> str:
    return privilege if column is None else f"{privilege} ({quote_identifier(column)})"


def _grantee(name: str | None) -> str:
    return "public" if name is None else quote_identifier(name)


def _set_tablespace(session: Session, name: str) -> None:
    session.execute("select set_config('default_tablespace', %(name)s, true)", {"name": name})


def _move(session: Session, new: NewPartition) -> int:
    """Take the rows over, under a lock that keeps others from adding some."""
    parent = new.rule.parent
    default = parent.default
    assert default is not None  # noqa: S101 - asked for by create
    session.execute(f"lock table {default.sql} in access exclusive mode")
    found = find_default_rows(session, new)
    if found.hindrance is not None:
        raise GuardRefusal(found.hindrance)
    if not found.rows:
        return 0
    columns = ", ".join(
        quote_identifier(row["name"])
        for row in session.fetch("partitions/list_columns", oid=parent.oid)
        if not row["is_generated"]
    ).replace("%", "%%")
    row = session.execute(
        f"with moved as (delete from {default.sql.replace('%', '%%')} where {_condition(new)} returning {columns}),"  # noqa: S608 - identifiers are quoted
        f" put as (insert into {_name(new).replace('%', '%%')} ({columns}) select {columns} from moved returning 1)"
        " select count(*) as rows from put",
        _limits(new),
    )[0]
    return int(row["rows"])


def _condition(new: NewPartition) -> str:
    parent: Parent = new.rule.parent
    key = quote_identifier(parent.key or "").replace("%", "%%")
    return f"{key} >= %(lower)s::{parent.type_name} and {key} < %(upper)s::{parent.type_name}"


def _limits(new: NewPartition) -> Mapping[str, str]:
    rule, span = new.rule, new.span
    assert span.lower is not None  # noqa: S101 - what is made ahead has both ends
    assert span.upper is not None  # noqa: S101
    kind = rule.parent.type_name or ""
    return {
        "lower": write_moment(span.lower, kind, rule.zone),
        "upper": write_moment(span.upper, kind, rule.zone),
    }
