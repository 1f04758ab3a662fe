"""The tables of backups that the UI shows."""

from collections.abc import Sequence

from herald_pipelines.backup.drill import Drilled
from herald_pipelines.backup.facts import Manifest, Proof
from herald_pipelines.backup.retention import Decision
from herald_pipelines.tasks import Markdown
from herald_pipelines.values import format_bytes, format_seconds


def part_table(manifest: Manifest) -> Markdown:
    """Return the parts of a backup, a row each."""
    rows = [
        f"| {part.name} | {format_bytes(part.clear_bytes)} | {format_bytes(part.stored_bytes)} |"
        f" {format_seconds(part.seconds)} | `{part.object}` |"
        for part in manifest.parts
    ]
    return Markdown(
        "\n".join(["| part | clear | stored | took | object |", "|---|---:|---:|---:|---|", *rows])
    )


def proof_table(proofs: Sequence[Proof]) -> Markdown:
    """Return what verifications found, a row each."""
    rows = [
        f"| `{each.backup}` | {each.scope} | {'passed' if each.passed else 'FAILED'} | {format_seconds(each.seconds)} |"
        f" {(each.reason or '').replace('|', '/')} |"
        for each in proofs
    ]
    return Markdown("\n".join(["| backup | scope | verdict | took | why |", "|---|---|---|---:|---|", *rows]))


def decision_table(decisions: Sequence[Decision]) -> Markdown:
    """Return what becomes of backups, a row each."""
    rows = [
        f"| `{each.backup.manifest.id}` | {'stays' if each.keep else 'goes'} | {each.reason.replace('|', '/')} |"
        for each in decisions
    ]
    return Markdown("\n".join(["| backup | fate | why |", "|---|---|---|", *rows]))


def drill_table(drilled: Sequence[Drilled]) -> Markdown:
    """Return what a drill found, a row a backup."""
    rows = [
        f"| `{each.backup.manifest.id}` | {'passed' if each.proof.passed else 'FAILED'} |"
        f" {format_seconds(each.rto_seconds)} | {format_seconds(each.rpo_seconds)} |"
        f" {(each.proof.reason or '').replace('|', '/')} |"
        for each in drilled
    ]
    return Markdown(
        "\n".join(["| backup | verdict | usable after | lost | why |", "|---|---|---:|---:|---|", *rows])
    )
