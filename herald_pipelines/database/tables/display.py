"""Pure: tables for people, as cells and as the UI's Markdown. Not here: the rows themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from herald_pipelines.tasks import Markdown
from herald_pipelines.values import format_bytes, format_seconds

TABLE_ROWS = 25
"""Rows of a table in the UI; the ops database and --json hold all."""
TABLE_COLUMNS = ("table", "size", "rows", "dead", "modified", "visible", "age", "needs")
WORK_COLUMNS = ("table", "size", "dead", "left", "took", "needs", "outcome")


def table_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a table as texts for people, one for each of TABLE_COLUMNS.

    Args:
        row: of `describe_tables`.
    """
    return (
        f"{row['schema']}.{row['table']}",
        format_bytes(row["size_bytes"]),
        str(row["rows"]),
        str(row["dead_rows"]),
        str(row["modified_rows"]),
        "" if row["visible_share"] is None else f"{row['visible_share']:.0%}",
        str(row["xid_age"]),
        "; ".join(need["reason"] for need in row["needs"])
        + (f" ({row['skipped']})" if row["skipped"] else ""),
    )


def work_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what became of a table of a plan as texts for people, one for each of WORK_COLUMNS.

    Args:
        row: of `describe_work`.
    """
    return (
        f"{row['schema']}.{row['table']}",
        format_bytes(row["size_bytes"]),
        str(row["dead_rows"]),
        "" if row["dead_rows_after"] is None else str(row["dead_rows_after"]),
        "" if row["seconds"] is None else format_seconds(row["seconds"]),
        "; ".join(need["reason"] for need in row["needs"]),
        row["outcome"] + (f": {row['reason']}" if row["reason"] else ""),
    )


def stats_table(rows: Sequence[Mapping[str, Any]]) -> Markdown:
    """Return a table of the largest tables."""
    largest = sorted(rows, key=lambda row: -row["size_bytes"])[:TABLE_ROWS]
    return to_markdown(TABLE_COLUMNS, [table_cells(row) for row in largest], total=len(rows))


def work_table(rows: Sequence[Mapping[str, Any]]) -> Markdown:
    """Return a table of what a plan holds and what became of it."""
    return to_markdown(WORK_COLUMNS, [work_cells(row) for row in rows[:TABLE_ROWS]], total=len(rows))


def to_markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, total: int) -> Markdown:
    """Return a Markdown table that says how many rows it leaves out."""
    if not rows:
        return Markdown("nothing")
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    # A name may hold whatever ends a cell.
    lines += [
        f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in row)} |"
        for row in rows
    ]
    if total > len(rows):
        lines.append(f"\n{total - len(rows)} more")
    return Markdown("\n".join(lines))
