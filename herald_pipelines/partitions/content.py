"""The rows of a table as a number that does not depend on their order: counted and hashed by the server itself.

Each row is hashed as text, because binary hashes of enums change with a restore; two seeds of the server's 64-bit hash, each
summed, so that a row counts as often as it is there. The same rows give the same sums on every server of one major version.
"""

from collections.abc import Sequence
from typing import Any

from herald_pipelines.partitions.facts import Content
from herald_pipelines.resources.postgres import Session
from herald_pipelines.values import quote_identifier

CONTENT_SECONDS = 6 * 3600.0
"""For the rows of one partition: hashing takes some 2 microseconds a row and what reading takes."""
FORMS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    # Under row security it fails rather than count what the role may see.
    "row_security": "off",
}
"""How sessions write values, whatever the database says."""


def read_columns(session: Session, oid: int) -> tuple[tuple[str, str], ...]:
    """Return (name, type) of the columns of a table in their order."""
    return tuple((row["name"], row["type"]) for row in session.fetch("partitions/list_columns", oid=oid))


def read_content(session: Session, table: str, columns: Sequence[str], *, is_local: bool) -> Content:
    """Count and hash the rows of a table.

    Args:
        session: any; in a transaction where `is_local`.
        table: its name, quoted.
        columns: which, in which order.
        is_local: whether the forms hold for the transaction alone, or for the session.

    Raises:
        PermanentFailure: the role may not read all of them.
        HeraldError: of the kind that fits what the server said.
    """
    for name, value in FORMS.items():
        session.execute(
            "select set_config(%(name)s, %(value)s, %(is_local)s)",
            {"name": name, "value": value, "is_local": is_local},
        )
    listed = ", ".join(quote_identifier(each) for each in columns)
    row: Any = session.execute(
        "select count(*) as rows, coalesce(sum(hashtextextended(r, 0)::numeric), 0)::text as first,"  # noqa: S608 - identifiers are quoted
        " coalesce(sum(hashtextextended(r, 1)::numeric), 0)::text as second"
        f' from (select row({listed})::text collate "C" as r from {table}) as t'
    )[0]
    return Content(row["rows"], f"{int(row['first']):x}:{int(row['second']):x}")
