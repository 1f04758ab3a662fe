"""Policy: what is to be done with every partition, and why. Pure: inventory, rules, the ledger's proofs and a moment in.

The moment is that of the window, so that a late window does what it would have done. Not here: partitions that are missing
ahead (upcoming.py), doing it (cleanup.py, archiving.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from herald_pipelines.partitions.bounds import Span, read_span
from herald_pipelines.partitions.facts import Inventory, Lifecycle, Parent, Partition, Relation
from herald_pipelines.partitions.lifecycle import detached_name
from herald_pipelines.partitions.rules import Rule, cutoff

RETURNED_DAYS = 30
"""How long a partition that was brought back is left alone: time to look at it."""


class Action(StrEnum):
    """What is to be done with a partition next."""

    KEEP = "keep"
    ARCHIVE = "archive"
    DETACH = "detach"
    SETTLE = "settle"
    """Find out what became of a detaching that was interrupted, and go on with it."""
    WAIT = "wait"
    """It is detached, and its grace is not over."""
    DROP = "drop"
    CLOSE = "close"
    """It is gone: that is written down."""
    BLOCKED = "blocked"
    """Something is to be done that must not be: people decide."""


CHANGES = frozenset({Action.DETACH, Action.SETTLE, Action.DROP, Action.CLOSE})
"""What the task partition_cleanup does."""
UNFINISHED = frozenset({Action.SETTLE, Action.CLOSE})
"""What ends a step that was begun; it asks for no archive."""


@dataclass(frozen=True)
class Item:
    """What becomes of one partition, or of a table that was one."""

    parent: str
    """schema.name of the partitioned table."""
    oid: int
    name: str
    """schema.name as it is called now."""
    action: Action
    reason: str
    span: Span | None
    size_bytes: int
    rows: int | None
    """Estimated; null where the table is detached."""
    rule: Rule | None = None
    partition: Partition | None = None
    """While it is attached."""
    relation: Relation | None = None
    """Once it is detached."""
    lifecycle: Lifecycle | None = None
    notes: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What is to be done, and why."""

    action: Action
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What is known of a database."""

    inventory: Inventory
    rules: Mapping[int, Rule]
    lifecycles: Mapping[int, Lifecycle]
    relations: Mapping[int, Relation]
    """Of the lifecycles that may have left their parent."""


def plan_partitions(known: Known, at: datetime) -> tuple[Item, ...]:
    """Return what becomes of every partition, in the order of their parents and bounds; detached ones last.

    Args:
        known: what there is.
        at: the moment of the window.
    """
    items: list[Item] = []
    attached: set[int] = set()
    for parent in known.inventory.parents:
        rule = known.rules.get(parent.oid)
        end = None if rule is None else cutoff(rule.settings.keep, at)
        own: list[Item] = []
        for partition in parent.partitions:
            attached.add(partition.oid)
            own.append(_judge(known, parent, partition, rule, end, at))
        items += sorted(own, key=_order)
    detached = (
        each
        for oid, each in sorted(known.lifecycles.items())
        if oid not in attached and not each.is_over and (each.detach or each.attempt)
    )
    items += [_judge_detached(known, each, at) for each in detached]
    return tuple(items)


def block(items: Iterable[Item], dependants: Mapping[int, tuple[str, ...]]) -> tuple[Item, ...]:
    """Return a plan in which nothing is detached or dropped that others need.

    Args:
        items: the plan.
        dependants: by oid, what needs the table itself, in PostgreSQL's words.
    """
    return tuple(_blocked(item, dependants.get(item.oid, ())) for item in items)


def _blocked(item: Item, dependants: tuple[str, ...]) -> Item:
    if not dependants or item.action not in (Action.ARCHIVE, Action.DETACH, Action.DROP):
        return item
    named = ", ".join(dependants)
    return replace(item, action=Action.BLOCKED, reason=f"{item.reason}, but it is needed by {named}")


def _order(item: Item) -> tuple[bool, datetime, str]:
    upper = item.span.upper if item.span else None
    return (upper is None, upper or datetime.max.replace(tzinfo=UTC), item.name)


def _judge(
    known: Known, parent: Parent, partition: Partition, rule: Rule | None, end: datetime | None, at: datetime
) -> Item:
    lifecycle = known.lifecycles.get(partition.oid)
    if lifecycle is not None and lifecycle.is_over:
        lifecycle = None
    span: Span | None = None
    if rule is None:
        verdict = Verdict(Action.KEEP, _why_no_rule(parent))
    elif partition.oid == parent.default_oid:
        verdict = Verdict(Action.KEEP, "the default partition never expires")
    else:
        try:
            span = read_span(partition.bound, rule.zone)
            verdict = _judge_span(parent, partition, rule, lifecycle, span, end, at)
        except ValueError as error:
            verdict = Verdict(Action.KEEP, f"manual: {error}")
    return Item(
        parent=parent.label,
        oid=partition.oid,
        name=partition.label,
        action=verdict.action,
        reason=verdict.reason,
        span=span,
        size_bytes=partition.size_bytes,
        rows=partition.estimated_rows,
        rule=rule,
        partition=partition,
        lifecycle=lifecycle,
        notes=verdict.notes,
    )


def _why_no_rule(parent: Parent) -> str:
    return "no rule" if parent.why_manual is None else f"manual: {parent.why_manual}"


def _judge_span(  # noqa: PLR0911 - one for each verdict
    parent: Parent,
    partition: Partition,
    rule: Rule,
    lifecycle: Lifecycle | None,
    span: Span | None,
    end: datetime | None,
    at: datetime,
) -> Verdict:
    if partition.is_detach_pending:
        return _judge_pending(parent, partition, lifecycle)
    upper = span.upper if span else None
    if upper is None:
        return Verdict(Action.KEEP, "it has no upper bound: it never expires")
    if end is None:
        return Verdict(Action.KEEP, "kept for ever")
    if upper > end:
        return Verdict(Action.KEEP, f"not older than {rule.settings.keep}")
    expired = f"older than {rule.settings.keep}"
    if partition.kind == "f":
        return Verdict(Action.BLOCKED, f"{expired}, but a foreign table: detach it by hand")
    if partition.has_foreign:
        return Verdict(
            Action.BLOCKED, f"{expired}, but a partition below it is a foreign table: detach it by hand"
        )
    returned = _returned_until(lifecycle)
    if returned is not None and at < returned:
        return Verdict(Action.KEEP, f"{expired}, but brought back: left alone until {returned:%Y-%m-%d}")
    notes = (
        *(f"its parent is published by {each}: subscribers keep its rows" for each in parent.publications),
        *(
            f"foreign key {each}: it cannot be detached while rows refer to it"
            for each in parent.referenced_by
        ),
    )
    if not rule.settings.archive:
        return Verdict(Action.DETACH, f"{expired}; its rule archives nothing", notes)
    if not is_archived(lifecycle, partition):
        return Verdict(Action.ARCHIVE, expired, notes)
    return Verdict(Action.DETACH, f"{expired}, and archived", notes)


def _judge_pending(parent: Parent, partition: Partition, lifecycle: Lifecycle | None) -> Verdict:
    if lifecycle is not None and lifecycle.attempt is not None:
        return Verdict(Action.SETTLE, "its detaching was interrupted: its rows are invisible")
    statement = f"ALTER TABLE {parent.sql} DETACH PARTITION {partition.sql} FINALIZE"
    return Verdict(
        Action.BLOCKED,
        "its detaching is pending, and not by this: its rows are invisible",
        (f"{statement} ends it",),
    )


def is_archived(lifecycle: Lifecycle | None, partition: Partition) -> bool:
    """Whether the ledger proves an archive of this very partition."""
    archive = lifecycle.archive if lifecycle else None
    return archive is not None and archive.get("bound") == partition.bound


def _returned_until(lifecycle: Lifecycle | None) -> datetime | None:
    if lifecycle is None or lifecycle.returned_at is None:
        return None
    return datetime.fromisoformat(lifecycle.returned_at) + timedelta(days=RETURNED_DAYS)


def _judge_detached(  # noqa: PLR0911 - one for each verdict
    known: Known, lifecycle: Lifecycle, at: datetime
) -> Item:
    said = lifecycle.detach or lifecycle.attempt or {}
    relation = known.relations.get(lifecycle.oid)
    rule = known.rules.get(said["parent_oid"])
    item = Item(
        parent=said["parent"],
        oid=lifecycle.oid,
        name=relation.label if relation else lifecycle.name,
        action=Action.BLOCKED,
        reason="",
        span=None,
        size_bytes=relation.size_bytes if relation else 0,
        rows=None,
        rule=rule,
        relation=relation,
        lifecycle=lifecycle,
    )
    if relation is None:
        became = "an interrupted run dropped it" if lifecycle.is_drop_open else "somebody else dropped it"
        return replace(item, action=Action.CLOSE, reason=became)
    if rule is None:
        return replace(item, reason=f"detached, and {said['parent']} has no rule any more")
    item = replace(item, span=read_span(said["bound"], rule.zone))
    if lifecycle.detach is None:
        return _judge_left(item, relation, lifecycle)
    if relation.label != said["name"]:
        return replace(item, reason=f"detached as {said['name']}, and renamed by somebody: it is left alone")
    if rule.settings.archive and lifecycle.archive is None:
        return replace(item, action=Action.ARCHIVE, reason="detached, and its archive does not hold its rows")
    due = datetime.fromisoformat(said["detached_at"]).date() + timedelta(days=rule.settings.grace_days)
    if at.date() < due:
        return replace(item, action=Action.WAIT, reason=f"detached; it may be dropped from {due:%Y-%m-%d} on")
    end, upper = cutoff(rule.settings.keep, at), item.span.upper if item.span else None
    if end is None or upper is None or upper > end:
        return replace(
            item, reason="detached, and its rule keeps it now: `herald partitions restore` attaches it"
        )
    return replace(item, action=Action.DROP, reason=f"detached for {rule.settings.grace_days} days and more")


def _judge_left(item: Item, relation: Relation, lifecycle: Lifecycle) -> Item:
    """Judge what an interrupted detaching left: ours under the names that it had and would have got, and no other."""
    own = lifecycle.name.removeprefix(f"{relation.schema}.")
    if relation.label in (lifecycle.name, f"{relation.schema}.{detached_name(own, relation.oid)}"):
        return replace(item, action=Action.SETTLE, reason="an interrupted run detached it")
    return replace(item, reason=f"detached as {lifecycle.name}, and renamed by somebody: it is left alone")
