"""The tables of partitions that the UI shows."""

from collections.abc import Sequence

from herald_pipelines.partitions.analysis import PartitionAnalysis
from herald_pipelines.partitions.plan import Action, Item
from herald_pipelines.partitions.report import Done
from herald_pipelines.tasks import Markdown
from herald_pipelines.values import format_bytes

ROWS_SHOWN = 50


def parent_table(analysis: PartitionAnalysis) -> Markdown:
    """Return the partitioned tables, a row each."""
    upcoming = {each.rule.parent.oid: each for each in analysis.upcoming}
    rows: list[str] = []
    for parent in analysis.known.inventory.parents[:ROWS_SHOWN]:
        table = upcoming.get(parent.oid)
        said = parent.why_manual or "no rule" if table is None else f"keep {table.rule.settings.keep}"
        ahead = "" if table is None else str(table.ahead)
        size = format_bytes(sum(each.size_bytes for each in parent.partitions))
        rows.append(
            f"| `{_cell(parent.label)}` | {len(parent.partitions)} | {size} | {ahead} | {_cell(said)} |"
        )
    return Markdown(
        "\n".join(["| table | partitions | size | ahead | rule |", "|---|---:|---:|---:|---|", *rows])
    )


def item_table(items: Sequence[Item]) -> Markdown:
    """Return what is to be done, a row a partition."""
    rows = [
        f"| `{_cell(each.name)}` | {each.action} | {format_bytes(each.size_bytes)} | {_cell(each.reason)} |"
        for each in items
        if each.action is not Action.KEEP
    ]
    return Markdown(
        "\n".join(["| partition | action | size | why |", "|---|---|---:|---|", *rows[:ROWS_SHOWN]])
    )


def done_table(done: Sequence[Done]) -> Markdown:
    """Return what was done, a row a step."""
    rows = [
        f"| `{_cell(each.name)}` | {each.step} | {each.outcome} | {_cell(each.reason or '')} |"
        for each in done
    ]
    return Markdown(
        "\n".join(["| partition | step | outcome | why |", "|---|---|---|---|", *rows[:ROWS_SHOWN]])
    )


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("`", "'").replace("\n", " ")
