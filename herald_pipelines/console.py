"""What a person sees: tables and sentences made from the same documents that --json prints. Not here: doing anything."""

import os
import shutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from textwrap import indent
from typing import Any

import yaml
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from herald_pipelines.database.indexes.tables import REBUILD_COLUMNS, rebuild_cells
from herald_pipelines.database.tables.display import WORK_COLUMNS, work_cells
from herald_pipelines.values import Say, format_bytes, format_seconds, utc_now

Document = Mapping[str, Any]

PROPOSALS_SHOWN = 8
INDEXES_SHOWN = 50
"""Indexes without a verdict are shown up to this many; --json has all."""
NOTES_SHOWN, NAMES_SHOWN = 12, 3
PIPE_WIDTH = 250
TABLE_TASK_NAMES = ("database_optimization", "statistics_update", "full_database_maintenance")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the caller, who knows what it means, in place of exiting here."""
        raise BrokenPipeError


def out() -> Console:
    """Return the console for results (stdout); where it is no terminal, lines are as long as they need to be."""
    # Names of the user's own objects may hold what would be markup.
    console = _Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def tell(text: str) -> None:
    """Say on stderr what happens, a line with the time."""
    _tell(_Console(stderr=True, highlight=False, soft_wrap=True), text, utc_now())


def _tell(console: Console, text: str, began: datetime) -> None:
    # Work does not end because nobody can be told of it.
    with suppress(OSError):
        console.print(Text.assemble((f"{began:%H:%M:%S}", "dim"), " ", text))


@contextmanager
def progress() -> Generator[Say]:
    """Give the function that tells on stderr what is going on, a step at a time.

    On a terminal the present step has a spinner and its duration, below those that are over; elsewhere each step is
    a line with the time.
    """
    console = _Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield tell
        return
    # A long step is cut, never its duration.
    text = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    columns = SpinnerColumn(), TimeElapsedColumn(table_column=Column(min_width=7)), text
    present: list[tuple[str, datetime]] = []
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, expand=True) as bar:

        def end_step() -> None:
            for step in bar.task_ids:
                bar.remove_task(step)
            while present:
                _tell(console, *present.pop())

        def begin_step(text: str) -> None:
            end_step()
            present.append((text, utc_now()))
            bar.add_task(text, total=None)

        try:
            yield begin_step
        finally:
            end_step()


def make_table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """Return an empty table without lines; the columns named in `right` are of numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _own_command() -> str:
    """Return how a person would call this command again: by its name where that is on PATH."""
    return "herald" if shutil.which("herald") else os.path.relpath(sys.argv[0])


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio * 100:.1f} %"


def show_settings(document: Document) -> None:
    """Print the resolved settings and the calendar's slots as YAML."""
    resolved = {**document["settings"], "slots": document["slots"]}
    out().print(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).rstrip())


def show_migration(document: Document) -> None:
    """Print what a migration did."""
    applied: Sequence[str] = document["applied"]
    if applied:
        out().print(f"ops database at {document['revision']}: applied {', '.join(applied)}")
    else:
        out().print(f"ops database at {document['revision']}: nothing to do")


def show_indexes(document: Document) -> None:
    """Print a row an index, those with verdicts and the largest, then each verdict with its reason and DDL."""
    console = out()
    rows = sorted(
        document["indexes"],
        key=lambda row: (not row["verdicts"], -(row["bloat_bytes"] or 0), -row["size_bytes"]),
    )
    judged = sum(1 for row in rows if row["verdicts"])
    table = make_table("index", "method", "size", "bloat", "wasted", "by", "scans", "days", "verdicts",
                   right=("size", "bloat", "wasted", "scans", "days"))  # fmt: skip
    for row in rows[: judged + INDEXES_SHOWN]:
        verdicts = ", ".join(verdict["kind"] for verdict in row["verdicts"])
        table.add_row(
            f"{row['schema']}.{row['index']}",
            row["access_method"],
            format_bytes(row["size_bytes"]),
            _percent(row["bloat_ratio"]),
            "" if row["bloat_bytes"] is None else format_bytes(row["bloat_bytes"]),
            row["bloat_method"] or "",
            str(row["scans"]),
            "" if row["scans_window_days"] is None else f"{row['scans_window_days']:.1f}",
            verdicts + (", rebuild planned" if row["rebuild_planned"] else ""),
        )
    console.print(table)
    if len(rows) > judged + INDEXES_SHOWN:
        console.print(f"and {len(rows) - judged - INDEXES_SHOWN} more without a verdict (--json has all)")
    for row in rows[:judged]:
        for verdict in row["verdicts"]:
            console.print(f"\n{row['schema']}.{row['index']} is {verdict['kind']}: {verdict['reason']}")
            if verdict["ddl"]:
                console.print(f"    {verdict['ddl']};")
    _print_notes(console, rows)
    for note in document["notes"]:
        console.print(f"note: {note}")


def _print_notes(console: Console, rows: Sequence[Document]) -> None:
    """Print each note once with the indexes it is about, those about most of them first."""
    about: dict[str, list[str]] = {}
    for row in rows:
        for note in row["notes"]:
            about.setdefault(note, []).append(f"{row['schema']}.{row['index']}")
    if about:
        console.print()
    noted = sorted(about.items(), key=lambda each: -len(each[1]))
    for note, names in noted[:NOTES_SHOWN]:
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        console.print(f"note: {note}: {', '.join(names[:NAMES_SHOWN])}{more}")
    if len(noted) > NOTES_SHOWN:
        console.print(f"and {len(noted) - NOTES_SHOWN} more notes (--json has all)")


def show_run(document: Document) -> None:
    """Print what a run of a task did on each database."""
    console = out()
    for entry in document["databases"]:
        head = f"{document['task']} on {entry['database']}, window {document['window']} ({entry['mode']}): {entry['outcome']}"
        console.print(head, style="bold")
        if entry["reason"]:
            console.print(indent(entry["reason"], "  "))
        for name, value in entry.get("summary", {}).items():
            shown = format_bytes(value) if name.endswith("_bytes") else str(value)
            console.print(f"  {name.removesuffix('_bytes').replace('_', ' '):<20} {shown}")
        if document["task"] == "index_rebuild" and entry.get("indexes"):
            console.print(_rebuild_table(entry["indexes"]))
        if document["task"] in TABLE_TASK_NAMES and entry.get("tables"):
            console.print(_work_table(entry["tables"]))


def _rebuild_table(rows: Sequence[Document]) -> Table:
    table = make_table(*REBUILD_COLUMNS, right=("size", "promised", "achieved", "took"))
    for row in rows:
        table.add_row(*rebuild_cells(row))
    return table


def _work_table(rows: Sequence[Document]) -> Table:
    table = make_table(*WORK_COLUMNS, right=("size", "dead", "left", "took"))
    for row in rows:
        table.add_row(*work_cells(row))
    return table


def show_windows(document: Document) -> None:
    """Print a row a window."""
    table = make_table(
        "database", "slot", "window", "state", "failed runs", "open tasks", "again", right=("failed runs",)
    )
    for row in document["windows"]:
        open_tasks = ", ".join(row["open_tasks"])
        table.add_row(row["database"], row["slot"], row["window"], row["state"], str(row["attempts"]), open_tasks,
                      row["retry_at"] or "")  # fmt: skip
    console = out()
    if document["windows"]:
        console.print(table)
    else:
        console.print("no missed windows" if document["missed"] else "no windows yet")


def show_demo(document: Document) -> None:
    """Print what a maintenance window did to the sample platform, and what to open next."""
    console = out()
    found, done, proposed = document["found"], document["done"], document["proposed"]
    console.print()
    table = make_table("", "", "", right=())
    table.add_row("found", f"{found['indexes']} indexes, {format_bytes(found['size_bytes'])}",
                  f"{found['bloated']} bloated with {format_bytes(found['bloat_bytes'])} of waste,"
                  f" {found['invalid']} invalid")  # fmt: skip
    table.add_row("done", f"{done['rebuilt']} rebuilt in {format_seconds(done['rebuild_seconds'])}",
                  f"REINDEX CONCURRENTLY, {done['skipped']} left alone with a reason")  # fmt: skip
    table.add_row("reclaimed", format_bytes(done["reclaimed_bytes"]),
                  f"of {format_bytes(done['promised_bytes'])} promised, by pg_relation_size before and after")  # fmt: skip
    table.add_row("proposed", f"{len(proposed)} drops", "for you to decide: nothing drops an index by itself")
    partitions = document["partitions"]
    table.add_row("partitions", f"{partitions['to_archive']} expired, {partitions['missing']} missing ahead",
                  "the next windows archive, prove and detach them, and make those ahead")  # fmt: skip
    table.add_row(
        "watched", f"{found['too_young']} never scanned", "judged once their use is known for 30 days"
    )
    console.print(table)
    if not done["planned"]:
        console.print(f"\nnothing is bloated; without {document['home']} the demo begins anew")
    console.print()
    for proposal in proposed[:PROPOSALS_SHOWN]:
        console.print(f"  {proposal['kind']:<10} {proposal['ddl']}")
    if len(proposed) > PROPOSALS_SHOWN:
        console.print(f"  and {len(proposed) - PROPOSALS_SHOWN} more")
    console.print()
    table = make_table("next", "")
    herald = _own_command()
    table.add_row(f"{herald} indexes --database platform", "every index with its reasons")
    table.add_row(f"{herald} partitions plan", "what becomes of every partition")
    table.add_row(f"{herald} up", "the same window in the web interface, with the calendar running")
    console.print(table)
