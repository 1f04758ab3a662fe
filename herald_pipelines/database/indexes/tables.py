"""Pure: the tables that the UI shows of indexes, as Markdown. Not here: the same rows for machines (analysis.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

from herald_pipelines.markdown import Markdown, to_table
from herald_pipelines.values import format_bytes, format_seconds

TABLE_ROWS = 25
"""Rows of a table in the UI; the ops database and --json hold all."""


def size_table(rows: Sequence[dict[str, Any]]) -> Markdown:
    """Return a table of the largest indexes."""
    largest = sorted(rows, key=lambda row: -row["size_bytes"])[:TABLE_ROWS]
    return to_table(
        ("index", "table", "method", "size", "scans"),
        [
            (
                row["index"],
                f"{row['schema']}.{row['table']}",
                row["access_method"],
                format_bytes(row["size_bytes"]),
                str(row["scans"]),
            )
            for row in largest
        ],
        total=len(rows),
    )


def bloat_table(rows: Sequence[dict[str, Any]]) -> Markdown:
    """Return a table of the indexes with verdicts, the most wasteful first."""
    judged = [row for row in rows if row["verdicts"]]
    worst = sorted(judged, key=lambda row: -(row["bloat_bytes"] or 0))[:TABLE_ROWS]
    return to_table(
        ("index", "size", "bloat", "wasted", "by", "verdicts"),
        [
            (
                f"{row['schema']}.{row['index']}",
                format_bytes(row["size_bytes"]),
                "" if row["bloat_ratio"] is None else f"{row['bloat_ratio']:.1%}",
                "" if row["bloat_bytes"] is None else format_bytes(row["bloat_bytes"]),
                row["bloat_method"] or "",
                "; ".join(f"{verdict['kind']}: {verdict['reason']}" for verdict in row["verdicts"]),
            )
            for row in worst
        ],
        total=len(judged),
    )


def proposal_table(proposals: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Markdown:
    """Return a table of the proposed drops, each with what makes the index again."""
    return to_table(
        ("why", "size", "drop", "make again"),
        [
            (
                f"{verdict['kind']}: {verdict['reason']}",
                format_bytes(row["size_bytes"]),
                verdict["ddl"],
                verdict["inverse_ddl"],
            )
            for row, verdict in proposals[:TABLE_ROWS]
        ],
        total=len(proposals),
    )


REBUILD_COLUMNS = ("index", "size", "promised", "achieved", "took", "outcome")


def rebuild_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what became of an index of a plan as texts for people, one for each of REBUILD_COLUMNS.

    Args:
        row: of `describe_rebuilds`.
    """
    return (
        f"{row['schema']}.{row['index']}",
        format_bytes(row["size_bytes"]),
        "" if row["promised_bytes"] is None else format_bytes(row["promised_bytes"]),
        "" if row["achieved_bytes"] is None else format_bytes(row["achieved_bytes"]),
        "" if row["seconds"] is None else format_seconds(row["seconds"]),
        row["outcome"] + (f": {row['reason']}" if row["reason"] else ""),
    )


def rebuild_table(rows: Sequence[Mapping[str, Any]]) -> Markdown:
    """Return a table of what became of a plan."""
    return to_table(REBUILD_COLUMNS, [rebuild_cells(row) for row in rows[:TABLE_ROWS]], total=len(rows))
