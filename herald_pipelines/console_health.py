"""What a person sees of health: a table made from the same document that --json prints."""

from collections.abc import Mapping
from typing import Any

from herald_pipelines.console import make_table, out
from herald_pipelines.health.results import BADNESS, Status
from herald_pipelines.values import format_seconds

Document = Mapping[str, Any]
STYLES = {"healthy": "green", "degraded": "yellow", "unhealthy": "bold red", "unknown": "dim"}


def show_health(document: Document) -> None:
    """Print a row a check, the worst first, then the counts."""
    console = out()
    table = make_table("check", "status", "took", "since", "", right=("took",))
    for row in sorted(document["checks"], key=_by_badness):
        mark = " (critical)" if row["critical"] else ""
        table.add_row(
            f"{row['subject']}/{row['check']}{mark}",
            row["status"],
            format_seconds(row["duration_seconds"]),
            (row["since"] or "")[:16].replace("T", " "),
            row["message"],
            style=STYLES[row["status"]] if row["status"] != Status.HEALTHY else None,
        )
    console.print(table)
    counted = ", ".join(f"{number} {name}" for name, number in document["summary"].items() if number)
    console.print(f"\n{document['status']}: {counted or 'nothing was asked'}", style="bold")
    for note in document["notes"]:
        console.print(f"note: {note}")


def _by_badness(row: Document) -> tuple[int, str, str]:
    return -BADNESS.index(Status(row["status"])), row["subject"], row["check"]
