"""Policy: which partitions are missing ahead of time. Pure. Not here: making them (creating.py)."""

from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.partitions.bounds import Span, find_step, name_next, read_span
from herald_pipelines.partitions.facts import Partition
from herald_pipelines.partitions.rules import Rule

MOST_NEW = 100
"""New partitions of one table in one window: a table whose newest partition is years old is looked at by people first."""


@dataclass(frozen=True)
class NewPartition:
    """A partition that is to be made."""

    rule: Rule
    schema: str
    name: str
    span: Span
    sibling: Partition
    """Whose definition it gets."""

    @property
    def label(self) -> str:
        """schema.name."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Upcoming:
    """What a partitioned table has ahead, and what it lacks."""

    rule: Rule
    ahead: int
    """Partitions that begin after the moment."""
    new: tuple[NewPartition, ...]
    problem: str | None = None
    """Why none can be made by itself."""


def plan_upcoming(rule: Rule, at: datetime) -> Upcoming:  # noqa: PLR0911 - one for each reason
    """Return what is missing so that rows of the moment, and of the next `premake` steps, find a partition.

    Args:
        rule: of the table.
        at: the moment of the window.
    """
    parent = rule.parent
    named: list[tuple[Span, Partition]] = []
    try:
        for partition in parent.partitions:
            span = read_span(partition.bound, rule.zone)
            if span is not None and not partition.is_detach_pending:
                named.append((span, partition))
    except ValueError as error:
        return Upcoming(rule, 0, (), f"a bound of {parent.label} cannot be read: {error}")
    ahead = sum(1 for span, _ in named if span.lower is not None and span.lower > at)
    open_ended = [each.label for span, each in named if span.upper is None]
    if open_ended:
        return Upcoming(rule, ahead, (), f"{open_ended[0]} has no upper bound: none can be made after it")
    bounded = sorted(
        ((span, each) for span, each in named if span.lower is not None and span.upper is not None),
        key=lambda pair: pair[0].upper or at,
    )
    if not bounded:
        return Upcoming(
            rule, ahead, (), f"{parent.label} has no partition that tells the step: make the first by hand"
        )
    newest, sibling = bounded[-1]
    if ahead >= rule.settings.premake and newest.upper is not None and newest.upper > at:
        return Upcoming(rule, ahead, ())
    step = find_step([span for span, _ in bounded], rule.zone)
    if step is None:
        return Upcoming(
            rule,
            ahead,
            (),
            f"the newest partitions of {parent.label} differ in their steps: does its rule lack time_zone?",
        )
    if sibling.kind != "r":
        return Upcoming(
            rule, ahead, (), f"{sibling.label} is partitioned itself or foreign: make the next by hand"
        )
    return Upcoming(rule, ahead, _follow(rule, bounded, at, ahead))


def _follow(
    rule: Rule, bounded: list[tuple[Span, Partition]], at: datetime, ahead: int
) -> tuple[NewPartition, ...]:
    zone, (newest, sibling) = rule.zone, bounded[-1]
    step = find_step([span for span, _ in bounded], zone)
    lower = newest.upper
    assert step is not None  # noqa: S101 - asked for by plan_upcoming
    assert lower is not None  # noqa: S101
    names = [(each.name, span.lower) for span, each in bounded if span.lower is not None]
    new: list[NewPartition] = []
    while len(new) < MOST_NEW and (ahead < rule.settings.premake or lower <= at):
        upper = step.after(lower, zone)
        name = name_next(rule.parent.name, names, lower, zone)
        names.append((name, lower))
        new.append(NewPartition(rule, sibling.schema, name, Span(lower, upper), sibling))
        ahead += lower > at
        lower = upper
    return tuple(new)
