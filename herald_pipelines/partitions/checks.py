"""Verdicts on partitions. Pure."""

from collections.abc import Sequence

from herald_pipelines.partitions.analysis import PartitionAnalysis
from herald_pipelines.partitions.plan import Action, Item
from herald_pipelines.partitions.report import Done, estimate_default_rows
from herald_pipelines.partitions.upcoming import Upcoming
from herald_pipelines.tasks import CheckVerdict
from herald_pipelines.values import Outcome

MOST_NAMED = 5


def check_ahead(upcoming: Sequence[Upcoming], done: Sequence[Done]) -> CheckVerdict:
    """Judge whether every table has as many partitions ahead as its rule says, those included that were just made."""
    made = {each.name for each in done if each.outcome is Outcome.DONE}
    why = {each.name: each.reason for each in done if each.outcome is not Outcome.DONE}
    short: list[str] = []
    for table in upcoming:
        lacking = [each for each in table.new if each.label not in made]
        if not lacking and table.problem is None:
            continue
        reason = table.problem or next((why[each.label] for each in lacking if why.get(each.label)), None)
        short.append(f"{table.rule.parent.label} lacks {len(lacking)}" + (f": {reason}" if reason else ""))
    return CheckVerdict(
        "partitions_ahead",
        passed=not short,
        is_error=False,
        summary=_name(short) or f"{len(upcoming)} tables have the partitions that they need ahead",
        metadata={"tables": len(upcoming), "tables_short": len(short)},
    )


def check_defaults(analysis: PartitionAnalysis) -> CheckVerdict:
    """Judge whether default partitions are empty: a row in one has found no partition of its own."""
    holding = [
        (parent.default.label, rows)
        for table in analysis.upcoming
        if (parent := table.rule.parent).default is not None and (rows := estimate_default_rows(parent))
    ]
    return CheckVerdict(
        "default_partitions_are_empty",
        passed=not holding,
        is_error=False,
        summary=_name([f"{name} holds about {rows} rows" for name, rows in holding])
        or "no default partition holds rows",
        metadata={"rows": sum(rows for _, rows in holding)},
    )


def check_visible(analysis: PartitionAnalysis) -> CheckVerdict:
    """Judge whether every partition's rows are visible: while its detaching is pending, they are not."""
    pending = [
        f"{each.label}: its detaching is pending, its rows are invisible"
        for parent in analysis.known.inventory.parents
        for each in parent.partitions
        if each.is_detach_pending
    ]
    return CheckVerdict(
        "partitions_are_visible",
        passed=not pending,
        is_error=True,
        summary=_name(pending) or "no partition's detaching is pending",
        metadata={"pending": len(pending)},
    )


def check_blocked(items: Sequence[Item], done: Sequence[Done]) -> CheckVerdict:
    """Judge whether everything that is to go can go; a partition whose rows are invisible is an error."""
    ended = {each.name for each in done if each.outcome is Outcome.DONE}
    blocked = [each for each in items if each.action is Action.BLOCKED]
    pending = [
        each
        for each in items
        if each.partition is not None and each.partition.is_detach_pending and each.name not in ended
    ]
    held = [each for each in done if each.outcome is not Outcome.DONE and each.reason]
    said = [
        f"{each.name}: {each.reason}" for each in (*pending, *(b for b in blocked if b not in pending), *held)
    ]
    return CheckVerdict(
        "nothing_is_in_the_way",
        passed=not said,
        is_error=bool(pending),
        summary=_name(said) or "whatever is to be detached or dropped can be",
        metadata={"blocked": len(blocked), "pending": len(pending), "not_done": len(held)},
    )


def check_archives(done: Sequence[Done]) -> CheckVerdict:
    """Judge whether everything that was to be archived is in the store, restored and compared."""
    wrong = [f"{each.name}: {each.reason}" for each in done if each.outcome is Outcome.FAILED]
    left = sum(each.outcome is Outcome.SKIPPED for each in done)
    return CheckVerdict(
        "archives_are_proven",
        passed=not wrong,
        is_error=True,
        summary=_name(wrong)
        or f"{sum(each.outcome is Outcome.DONE for each in done)} archives were made and proven"
        + (f", {left} are left for the next window" if left else ""),
        metadata={"failed": len(wrong), "left": left},
    )


def check_kept(lost: Sequence[str]) -> CheckVerdict:
    """Judge whether the store holds every archive that was made: their rows may be nowhere else."""
    return CheckVerdict(
        "archives_are_kept",
        passed=not lost,
        is_error=True,
        summary=f"not in the store, or not whole: {', '.join(lost[:MOST_NAMED])}"
        if lost
        else "the store holds every archive that was made",
        metadata={"lost": len(lost)},
    )


def _name(said: Sequence[str]) -> str:
    more = f"; and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return "; ".join(said[:MOST_NAMED]) + more
