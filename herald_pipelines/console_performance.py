"""What a person sees of queries: tables and sentences made from the same documents that --json prints."""

from collections.abc import Mapping
from textwrap import indent
from typing import Any

from rich.console import Console

from herald_pipelines.console import make_table, out
from herald_pipelines.console import show_run as show_run_summary
from herald_pipelines.database.statements.findings import count_of
from herald_pipelines.database.statements.tables import NUMBERS, QUERY_COLUMNS, query_cells, shorten
from herald_pipelines.values import format_seconds

Document = Mapping[str, Any]

QUERIES_SHOWN = 20
"""After a run; --json has all that are told of."""


def show_queries(document: Document) -> None:
    """Print the queries of each database that took most time, and what was found of any."""
    console = out()
    for entry in document["databases"]:
        if entry["error"] is not None:
            console.print(f"{entry['database']}: not read", style="bold")
            console.print(indent(entry["error"], "  "))
        else:
            show_statements(console, entry)


def show_run(document: Document) -> None:
    """Print what an analysis found on each database."""
    show_run_summary(document)
    for entry in document["databases"]:
        if "queries" in entry:
            show_statements(out(), entry, limit=QUERIES_SHOWN)


def show_statements(console: Console, entry: Document, *, limit: int | None = None) -> None:
    """Print the statements of one database."""
    console.print(f"{entry['database']}: {_describe_span(entry)}", style="bold")
    if entry["hindrance"] is not None:
        console.print(f"  {entry['hindrance']}")
        return
    if entry["queries"]:
        table = make_table(*QUERY_COLUMNS, right=NUMBERS)
        for row in entry["queries"][:limit]:
            table.add_row(*query_cells(row))
        console.print(table)
    for finding in entry["findings"]:
        console.print()
        console.print(f"{finding['kind']}: query {finding['query_id']}: {finding['reason']}")
        console.print(f"  {shorten(finding['query'], 400)}")
        console.print(
            indent(finding["plan"], "    ") if finding["plan"] else f"  no plan: {finding['plan_reason']}"
        )
    if entry["findings"]:
        console.print()
    for note in entry["notes"]:
        console.print(f"note: {note}")


def _describe_span(entry: Document) -> str:
    if entry["since"] is None:
        return "no statements"
    baseline = entry["baseline"]
    compared = "" if baseline is None else f", compared with {count_of(baseline['windows'], 'window')}"
    return (
        f"{format_seconds(entry['exec_seconds'])} of execution since {entry['since'][:16]} UTC"
        f" until {entry['until'][:16]} UTC{compared}"
    )
