"""Pure: what people see of statements: Markdown for the UI, cells for the terminal. Not here: documents (report.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

from herald_pipelines.database.statements.findings import format_duration
from herald_pipelines.markdown import Markdown, escape, to_table

TABLE_ROWS = 25
"""Rows of a table in the UI; the ops database and --json hold all."""
CHARTED = 5
"""Queries whose time is plotted over the windows, a line each."""
QUERY_WIDTH = 100
_BARS = "▁▂▃▄▅▆▇█"

QUERY_COLUMNS = ("query", "total", "share", "calls", "mean", "baseline", "hit", "over windows", "text")
NUMBERS = ("total", "share", "calls", "mean", "baseline", "hit")


def query_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a query as texts for people, one for each of QUERY_COLUMNS.

    Args:
        row: of `queries` of `describe_analysis`.
    """
    return (
        row["query_id"] + ("" if row["toplevel"] else " (nested)"),
        format_duration(row["total_seconds"]),
        f"{row['share']:.1%}",
        str(row["calls"]),
        _duration(row["mean_seconds"]),
        _duration(row["baseline_mean_seconds"]),
        "" if row["hit_percent"] is None else f"{row['hit_percent']:.0f} %",
        sparkline([each["exec_seconds"] for each in row["history"]]),
        shorten(row["query"]),
    )


def query_table(rows: Sequence[Mapping[str, Any]]) -> Markdown:
    """Return a table of the queries that took most time."""
    return to_table(QUERY_COLUMNS, [query_cells(row) for row in rows[:TABLE_ROWS]], total=len(rows))


def finding_table(rows: Sequence[Mapping[str, Any]]) -> Markdown:
    """Return a table of the findings, and below it their plans."""
    if not rows:
        return Markdown("nothing")
    shown = rows[:TABLE_ROWS]
    table = to_table(
        ("what", "query", "why", "text"),
        [(row["kind"], row["query_id"], row["reason"], shorten(row["query"])) for row in shown],
        total=len(rows),
    )
    plans = dict.fromkeys((row["query_id"], row["plan"]) for row in shown if row["plan"])
    parts = [f"\n\nPlan of query {query_id}:\n\n{_indented(plan)}" for query_id, plan in plans]
    reasons = dict.fromkeys(row["plan_reason"] for row in shown if row["plan_reason"])
    parts += [f"\n\nNo plan: {escape(reason)}" for reason in reasons]
    return Markdown(table.text + "".join(parts))


def chart(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return metadata that the UI plots over the windows: the time of each of the heaviest queries."""
    return {
        f"query {row['query_id']} seconds": row["total_seconds"] for row in rows[:CHARTED] if row["toplevel"]
    }


def sparkline(values: Sequence[float]) -> str:
    """Draw values as bars, from nothing to the highest.

    >>> sparkline([0, 1, 2, 4])
    '▁▂▄█'
    """
    highest = max(values, default=0)
    if highest <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[round(value / highest * (len(_BARS) - 1))] for value in values)


def shorten(text: str | None, width: int = QUERY_WIDTH) -> str:
    """Return the beginning of a query."""
    if text is None:
        return "(text not known)"
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
