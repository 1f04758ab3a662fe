"""What a person sees of security: sentences made from the same documents that --json prints."""

from collections.abc import Iterator, Mapping
from typing import Any

from herald_pipelines.console import out

Document = Mapping[str, Any]


def show_security(document: Document) -> None:
    """Print what is open for each database, the worst first, then what is accepted, resolved and not visible."""
    console = out()
    for number, entry in enumerate(document["databases"]):
        if number:
            console.print()
        if entry["error"]:
            console.print(f"{entry['database']}: {entry['error']}", style="bold")
            continue
        console.print(_head(entry), style="bold")
        for row in entry["findings"]:
            if not row["accepted"]:
                console.print()
                console.print("\n".join(_open_lines(row)))
        if rest := list(_other_lines(entry)):
            console.print()
            console.print("\n".join(rest))


def _open_lines(row: Document) -> Iterator[str]:
    state = f"{', new' if row['new'] else ''}{'' if row['visible'] else ', not visible any more'}"
    yield f"{row['severity']}{state}: {row['evidence']}"
    yield f"    {row['id']}"
    yield f"    fix: {row['fix']}"
    yield from (f"    {text}" for text in (row["acceptance"], row["reference"]) if text)


def _other_lines(entry: Document) -> Iterator[str]:
    for row in entry["findings"]:
        if row["accepted"]:
            yield f"{row['acceptance']}: {row['id']} ({row['severity']})"
    for row in entry["resolved"]:
        yield f"resolved: {row['id']} ({row['severity']})"
    for row in entry["unused_acceptances"]:
        yield f"accepted, and not there: {row['finding']}"
    for row in entry["not_visible"]:
        needs = f" (needs {row['needs']})" if row["needs"] else ""
        yield f"not visible: whether {row['title']}: {row['reason']}{needs}"
    for note in entry["notes"]:
        yield f"note: {note}"


def _head(entry: Document) -> str:
    summary = entry["summary"]
    counted = ", ".join(
        f"{summary[severity]} {severity}"
        for severity in ("critical", "high", "medium", "low")
        if summary[severity]
    )
    return (
        f"{entry['database']}: {counted or 'nothing'} open, {summary['accepted']} accepted,"
        f" {summary['not_visible']} of {summary['rules']} rules not visible"
    )
