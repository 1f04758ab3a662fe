"""Policy: which partitions are missing ahead of time. Pure. Not here: making them (creating.py)."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from herald_pipelines.partitions.bounds import Span, Step, find_step, name_next, read_span
from herald_pipelines.partitions.facts import Partition
from herald_pipelines.partitions.rules import Rule

MOST_NEW = 100
"""New partitions of one table in one window: a table whose newest partition is years old is looked at by people first."""


class Reach(NamedTuple):
    """A span with both ends."""

    lower: datetime
    upper: datetime


Named = list[tuple[Reach, Partition]]


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
    """Partitions that begin after the moment, up to the first gap."""
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
    bounded = sorted(
        ((Reach(span.lower, span.upper), each) for span, each in named if span.lower and span.upper),
        key=lambda pair: pair[0].lower,
    )
    chain, later = _follow_chain(bounded, at)
    ahead = sum(1 for reach, _ in chain if reach.lower > at)
    open_ended = [each.label for span, each in named if span.upper is None]
    if open_ended:
        return Upcoming(rule, ahead, (), f"{open_ended[0]} has no upper bound: none can be made after it")
    if not chain:
        return Upcoming(
            rule, ahead, (), f"{parent.label} has no partition that tells the step: make the first by hand"
        )
    newest, sibling = chain[-1]
    if ahead >= rule.settings.premake and newest.upper > at:
        return Upcoming(rule, ahead, ())
    step = find_step([Span(*reach) for reach, _ in chain], rule.zone)
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
    return _fill(rule, step, chain, later, at, ahead)


def _follow_chain(bounded: Named, at: datetime) -> tuple[Named, Named]:
    """Return the partitions up to the first gap after the moment, and those behind it.

    Args:
        bounded: with both ends, oldest first.
        at: the moment; where all begin after it, the first of them begins the chain.
    """
    count = max(sum(1 for reach, _ in bounded if reach.lower <= at), 1)
    chain, later = bounded[:count], bounded[count:]
    while chain and later and later[0][0].lower == chain[-1][0].upper:
        chain, later = [*chain, later[0]], later[1:]
    return chain, later


def _fill(rule: Rule, step: Step, chain: Named, later: Named, at: datetime, ahead: int) -> Upcoming:
    """Go on from the end of the chain, step by step: what is there counts, what is missing is to be made."""
    zone, (newest, sibling) = rule.zone, chain[-1]
    known = [(each.name, reach.lower) for reach, each in chain]
    new: list[NewPartition] = []
    lower, found, problem = newest.upper, ahead, None
    while len(new) < MOST_NEW and (found < rule.settings.premake or lower <= at):
        upper = step.after(lower, zone)
        if later and later[0][0].lower < upper:
            reach, there = later[0]
            if reach.lower > lower:
                problem = f"the gap before {there.label} is shorter than a step: fill it by hand"
                break
            later, upper = later[1:], reach.upper
            known.append((there.name, lower))
        else:
            name = name_next(rule.parent.name, known, lower, zone)
            known.append((name, lower))
            new.append(NewPartition(rule, sibling.schema, name, Span(lower, upper), sibling))
        found += lower > at
        lower = upper
    return Upcoming(rule, ahead, tuple(new), problem)
