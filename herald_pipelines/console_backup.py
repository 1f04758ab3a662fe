"""What a person sees of backups: tables and sentences made from the same documents that --json prints."""

from collections.abc import Iterator, Mapping
from textwrap import indent
from typing import Any

from herald_pipelines.console import make_table, out
from herald_pipelines.values import format_bytes, format_seconds

Document = Mapping[str, Any]


def show_store(document: Document) -> None:
    """Print which store was made ready."""
    out().print(f"{document['store']} is a store ({document['id']}); new backups have key {document['key']}")


def show_created(document: Document) -> None:
    """Print what was backed up, or would be."""
    console = out()
    for backup in document["backups"]:
        if document["dry_run"]:
            facts = ", ".join(
                f"{name.replace('_', ' ')} {value}" for name, value in backup.items() if value is not None
            )
            console.print(f"would back up: {facts}")
            continue
        console.print(
            f"{backup['id']}: {format_bytes(backup['clear_bytes'])} in {format_seconds(backup['seconds'])},"
            f" stored as {format_bytes(backup['stored_bytes'])}"
        )


def show_backups(document: Document) -> None:
    """Print a row a backup, then what else is in the store."""
    console = out()
    shown = make_table(
        "backup", "kind", "host", "clear", "stored", "took", "proof", right=("clear", "stored", "took")
    )
    for row in document["backups"]:
        shown.add_row(
            row["id"],
            row["kind"],
            row["host"],
            format_bytes(row["clear_bytes"]),
            format_bytes(row["stored_bytes"]),
            format_seconds(row["seconds"]),
            _proof(row),
        )
    if document["backups"]:
        console.print(shown)
    else:
        console.print(f"no backups in {document['store']}")
    for row in document["unfinished"]:
        state = "being made, or its maker died" if row["being_made"] else "half removed"
        console.print(f"unfinished since {row['modified_at']}: {row['prefix']} ({state})")
    for row in document["problems"]:
        console.print(f"problem: {row['key']} {row['reason']}")


def _proof(row: Document) -> str:
    if row["missing_parts"]:
        return f"BROKEN: {', '.join(row['missing_parts'])} missing"
    held = ", held" if row["held"] else ""
    if row["proof"] is None:
        return "none yet" + held
    proof = row["proof"]
    verdict = proof["scope"] if proof["passed"] else f"FAILED: {proof['reason']}"
    return f"{verdict} {proof['at'][:16]}" + held


def show_verdict(document: Document) -> None:
    """Print what a verification found."""
    proof = document["proof"]
    verdict = "passed" if proof["passed"] else "FAILED"
    console = out()
    console.print(
        f"{document['backup']['id']}: {proof['scope']} verification {verdict} in {format_seconds(proof['seconds'])}"
    )
    if proof["reason"]:
        console.print(indent(proof["reason"], "  "))


def show_retention(document: Document) -> None:
    """Print what becomes of each backup and why."""
    console = out()
    shown = make_table("backup", "fate", "why")
    for row in document["backups"]:
        shown.add_row(row["id"], row["fate"], row["reason"])
    console.print(shown)
    for doubt in document.get("doubts", ()):
        console.print(f"nothing of {doubt['group']} is deleted: {doubt['reason']}")
    if not document["done"] and any(row["fate"] == "goes" for row in document["backups"]):
        console.print("\nnothing was deleted: --yes does it")
    for each in document.get("left", ()):
        console.print(
            f"{each['name']} left the settings: {each['backups']} backups, {format_bytes(each['stored_bytes'])};"
            f" herald backup forget {each['name']} deletes them"
        )
    _show_failed(document, "not deleted")


def show_rekeyed(document: Document) -> None:
    """Print which backups were encrypted anew."""
    console = out()
    for backup in document["rekeyed"]:
        console.print(f"{backup} {'has' if document['done'] else 'would get'} key {document['key']}")
    console.print(f"{document['already']} had it already")
    _show_failed(document, "not rekeyed")


def _show_failed(document: Document, what: str) -> None:
    for each in document["failed"]:
        out().print(f"{each['id']} was {what}: {each['reason']}")


def show_hold(document: Document) -> None:
    """Print whether a backup is held."""
    state = f"held: {document['reason']}" if document["held"] else "not held any more"
    out().print(f"{document['backup']} is {state}")


def show_recovery(document: Document) -> None:
    """Print what a recovery will do, what stands against it, and what it did."""
    console = out()
    if not document["done"]:
        for line in describe_plan(document):
            console.print(line)
    for result in document["results"]:
        facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.items() if value)
        console.print(f"done: {facts}")
    if not document["done"] and not document["results"]:
        console.print("\nnothing was done: --yes does it")


def describe_plan(document: Document) -> Iterator[str]:
    """Yield what a recovery, or an undoing, will do, line by line: printed before it is done."""
    for part in document.get("parts", ()):
        yield f"{part['kind']} {part['name']} from {part['backup']}"
        plan = part["plan"]
        for step in plan.get("steps", ()):
            yield f"  - {step}"
        for tree in plan.get("trees", ()):
            yield (
                f"  - restore the {tree['type']} {tree['to']}: {tree['files']} files,"
                f" {format_bytes(tree['bytes'])}"
            )
        for refusal in plan.get("refusals", ()):
            hint = f" (HINT: {refusal['hint']})" if refusal["hint"] else ""
            yield f"  REFUSED: {refusal['reason']}{hint}"
        for note in (*plan.get("notes", ()), *plan.get("warnings", ())):
            yield f"  note: {note}"
    if document.get("services"):
        yield f"services stopped meanwhile: {', '.join(document['services'])}"
    for note in document.get("notes", ()):
        yield f"note: {note}"
    if document.get("undoes"):
        yield from _describe_undoing(document["undoes"])


def _describe_undoing(undoes: Document) -> Iterator[str]:
    if "database" in undoes:
        yield (
            f"give the name {undoes['name']!r} back to {undoes['database']!r}, put aside at {undoes['at']} by the"
            f" restore of {undoes['backup']}"
        )
    for tree in undoes.get("trees", ()):
        if tree["kept"]:
            yield f"put {tree['kept']} back as {tree['path']}"
        else:
            yield f"put aside {tree['path']}, which was not there before"


def show_drill(document: Document) -> None:
    """Print what a drill found, and where its report is."""
    console = out()
    if not document["done"]:
        console.print(f"would restore and compare: {', '.join(document['planned'])}")
        return
    shown = make_table("backup", "verdict", "usable after", "lost", right=("usable after", "lost"))
    for row in document["backups"]:
        shown.add_row(
            row["backup"],
            "passed" if row["passed"] else f"FAILED: {row['reason']}",
            format_seconds(row["rto_seconds"]),
            format_seconds(row["rpo_seconds"]),
        )
    console.print(shown)
    objectives = document["objectives"]
    console.print(
        f"objectives: usable after {format_seconds(objectives['rto_seconds'])},"
        f" {format_seconds(objectives['rpo_seconds'])} lost; report: {document['report']}"
    )
