"""What a person sees of partitions: tables made from the documents that --json prints. Not here: doing anything."""

from collections.abc import Mapping
from typing import Any

from herald_pipelines.console import make_table, out
from herald_pipelines.values import format_bytes

Document = Mapping[str, Any]
KEPT_SHOWN = 12
"""Of each table, partitions with which nothing is done; --json has all."""


def show_plan(document: Document) -> None:
    """Print each partitioned table with its rule, what is missing ahead, and what becomes of its partitions."""
    console = out()
    for found in document["databases"]:
        console.print(f"{found['database']}, for the window of {document['planned_for']}")
        if not found["tables"]:
            console.print("  no partitioned table")
        for table in found["tables"]:
            _show_table(found, table)
    for note in document["notes"]:
        console.print(f"note: {note}")


def _show_table(found: Document, table: Document) -> None:
    console = out()
    rule = table["rule"]
    if rule is None:
        said = table["manual"] or "no rule"
    else:
        said = f"keep {rule['keep']}, {rule['premake']} ahead, " + (
            f"archive, drop {rule['grace_days']} days after" if rule["archive"] else "no archive"
        )
    console.print(
        f"\n{table['table']}: {table['partitions']} partitions, {format_bytes(table['size_bytes'])}; {said}"
    )
    if table["problem"]:
        console.print(f"  none can be made ahead: {table['problem']}")
    if table["default_rows"]:
        console.print(f"  {table['default_partition']} holds about {table['default_rows']:,} rows")
    rows = [row for row in found["partitions"] if row["table"] == table["table"]]
    kept = [row for row in rows if row["action"] == "keep"]
    shown = make_table("partition", "from", "to", "size", "action", "why", right=("size",))
    for row in [row for row in rows if row["action"] != "keep"] + kept[:KEPT_SHOWN]:
        shown.add_row(
            row["partition"],
            (row["lower"] or "")[:16],
            (row["upper"] or "")[:16],
            format_bytes(row["size_bytes"]),
            row["action"],
            "; ".join([row["reason"], *row["notes"]]),
        )
    for new in table["missing"]:
        shown.add_row(
            new["partition"], new["lower"][:16], new["upper"][:16], "", "create", f"like {new['like']}"
        )
    console.print(shown)
    if len(kept) > KEPT_SHOWN:
        console.print(f"and {len(kept) - KEPT_SHOWN} more that are kept (--json has all)")


def show_return(document: Document) -> None:
    """Print how a partition is or was brought back, or why it cannot be."""
    console = out()
    came = "it was only detached" if document["from"] == "detached" else f"archive {document['from']}"
    console.print(f"{document['partition']} of {document['table']} on {document['database']}: {came}")
    for step in document["steps"]:
        console.print(f"  {step}")
    for reason in document["refused"]:
        console.print(f"  it cannot be: {reason}")
    if document["done"]:
        console.print("done: it is attached")
    elif not document["refused"]:
        console.print("nothing was done; --yes does it")
