"""What was found, planned and done about partitions, for machines. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.partitions.analysis import PartitionAnalysis
from herald_pipelines.partitions.facts import Parent
from herald_pipelines.partitions.plan import Action, Item
from herald_pipelines.partitions.upcoming import Upcoming
from herald_pipelines.values import Outcome


@dataclass(frozen=True)
class Done:
    """What became of one step on one partition."""

    name: str
    step: str
    outcome: Outcome
    reason: str | None = None
    details: Mapping[str, Any] | None = None


def describe_tables(analysis: PartitionAnalysis) -> list[dict[str, Any]]:
    """Return a row for each partitioned table: the contract of `herald partitions plan --json`."""
    upcoming = {each.rule.parent.oid: each for each in analysis.upcoming}
    return [_describe_table(parent, upcoming.get(parent.oid)) for parent in analysis.known.inventory.parents]


def _describe_table(parent: Parent, upcoming: Upcoming | None) -> dict[str, Any]:
    default = parent.default
    return {
        "table": parent.label,
        "key": parent.key,
        "key_type": parent.key_type,
        "rule": None if upcoming is None else upcoming.rule.settings.model_dump(mode="json"),
        "manual": parent.why_manual,
        "partitions": len(parent.partitions),
        "size_bytes": sum(each.size_bytes for each in parent.partitions),
        "default_partition": None if default is None else default.label,
        "default_rows": None if default is None else estimate_default_rows(parent),
        "ahead": None if upcoming is None else upcoming.ahead,
        "missing": [] if upcoming is None else describe_upcoming(upcoming),
        "problem": None if upcoming is None else upcoming.problem,
    }


def estimate_default_rows(parent: Parent) -> int:
    """Return about how many rows the default partition holds; 0 without one."""
    default = parent.default
    return 0 if default is None else max(default.estimated_rows, default.live_rows or 0)


def describe_upcoming(upcoming: Upcoming) -> list[dict[str, Any]]:
    """Return a row for each partition that is to be made."""
    return [
        {
            "partition": each.label,
            "lower": _iso(each.span.lower),
            "upper": _iso(each.span.upper),
            "like": each.sibling.label,
        }
        for each in upcoming.new
    ]


def describe_items(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Return a row for each partition, attached or detached."""
    return [
        {
            "table": item.parent,
            "partition": item.name,
            "lower": _iso(item.span.lower) if item.span else None,
            "upper": _iso(item.span.upper) if item.span else None,
            "size_bytes": item.size_bytes,
            "estimated_rows": item.rows,
            "action": item.action.value,
            "reason": item.reason,
            "archive": (item.lifecycle.archive or {}).get("backup") if item.lifecycle else None,
            "notes": list(item.notes),
        }
        for item in items
    ]


def describe_done(done: Sequence[Done]) -> list[dict[str, Any]]:
    """Return a row for each step."""
    return [
        {
            "partition": each.name,
            "step": each.step,
            "outcome": each.outcome.value,
            "reason": each.reason,
            "details": dict(each.details or {}),
        }
        for each in done
    ]


def summarize(analysis: PartitionAnalysis) -> dict[str, int | float | str]:
    """Count what there is and what is to be done."""
    actions = Counter(item.action for item in analysis.items)
    parents = analysis.known.inventory.parents
    return {
        "tables": len(parents),
        "tables_with_rule": len(analysis.upcoming),
        "partitions": sum(len(each.partitions) for each in parents),
        "size_bytes": sum(item.size_bytes for item in analysis.items if item.partition),
        "missing": sum(len(each.new) for each in analysis.upcoming),
        **{f"to_{action.value}": actions[action] for action in Action if action is not Action.KEEP},
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
