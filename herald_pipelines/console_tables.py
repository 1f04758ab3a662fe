"""What a person sees of tables and their maintenance, made from the same documents that --json prints."""

from collections.abc import Mapping
from typing import Any

from herald_pipelines.console import make_table, out
from herald_pipelines.database.tables.display import (
    TABLE_COLUMNS,
    table_cells,
)

Document = Mapping[str, Any]
TABLES_SHOWN = 50
"""Tables that need nothing are shown up to this many; --json has all."""


def show_tables(document: Document) -> None:
    """Print the age of the database, who holds the horizon, and a row a table: those with needs and the largest."""
    console = out()
    rows = sorted(
        document["tables"],
        key=lambda row: (
            not row["needs"],
            -max((need["ratio"] for need in row["needs"]), default=0),
            -row["size_bytes"],
        ),
    )
    needy = sum(1 for row in rows if row["needs"])
    table = make_table(*TABLE_COLUMNS, right=("size", "rows", "dead", "modified", "visible", "age"))
    shown = rows[: max(needy, TABLES_SHOWN)]
    for row in shown:
        table.add_row(*table_cells(row))
    console.print(table)
    if len(shown) < len(rows):
        console.print(f"and {len(rows) - len(shown)} more that need nothing (--json has all)")
    planned = [row["statement"] for row in rows if row["statement"]]
    console.print(
        f"\n{needy} of {len(rows)} tables need something; the oldest row is {document['xid_age']} transactions old"
        f" ({document['xid_age'] / document['freeze_max_age']:.0%} of autovacuum_freeze_max_age)"
    )
    for statement in planned:
        console.print(f"  {statement};")
    for each in document["holders"]:
        what = "system catalogs" if each["catalogs_only"] else "all tables"
        console.print(
            f"{each['holder']} keeps what died in the last {each['xid_age']} transactions in {what}"
        )
    for note in document["notes"]:
        console.print(f"note: {note}")
