"""Pure: tables for people, as cells and as the UI's Markdown. Not here: the rows themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from herald_pipelines.markdown import Markdown, to_table
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
    return to_table(TABLE_COLUMNS, [table_cells(row) for row in largest], total=len(rows))


def work_table(rows: Sequence[Mapping[str, Any]]) -> Markdown:
    """Return a table of what a plan holds and what became of it."""
    return to_table(WORK_COLUMNS, [work_cells(row) for row in rows[:TABLE_ROWS]], total=len(rows))
