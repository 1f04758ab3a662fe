"""Whether the partitions that were made ahead of time suffice. Pure.

Not here: reading them, the rules of herald.yaml and what is missing by them (partitions).
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from herald_pipelines.health.results import Status, Verdict
from herald_pipelines.health.rules import sum_up
from herald_pipelines.partitions.bounds import read_span
from herald_pipelines.partitions.rules import Rule
from herald_pipelines.partitions.upcoming import plan_upcoming

MAKE_WITHIN = timedelta(hours=36)
"""Partitions are made by the daily task: one that was due a day and a half ago has been missed by a whole window."""


def judge_ahead(rules: Collection[Rule], now: datetime) -> Verdict:
    """Judge whether rows of now find a partition, and whether those are there that the rules want ahead.

    Args:
        rules: of each partitioned table that has one.
        now: the time, UTC.
    """
    found: list[tuple[Status, str]] = []
    counts: list[int] = []
    for rule in rules:
        found += _judge(rule, now)
        counts.append(plan_upcoming(rule, now).ahead)
    metrics = {"tables": float(len(rules)), "findings": float(len(found))}
    if counts:
        metrics["least_ahead"] = float(min(counts))
    return sum_up(found, f"{len(rules)} tables have the partitions that they need ahead", metrics)


def _judge(rule: Rule, now: datetime) -> list[tuple[Status, str]]:
    parent, upcoming = rule.parent, plan_upcoming(rule, now - MAKE_WITHIN)
    try:
        spans = [
            span
            for each in parent.partitions
            if not each.is_detach_pending and (span := read_span(each.bound, rule.zone)) is not None
        ]
    except ValueError:
        return [(Status.DEGRADED, upcoming.problem or f"a bound of {parent.label} cannot be read")]
    if any(span.upper is None and (span.lower is None or span.lower <= now) for span in spans):
        return []  # nothing is ever missing after one without an end
    found: list[tuple[Status, str]] = []
    if not any((s.lower is None or s.lower <= now) and s.upper is not None and now < s.upper for s in spans):
        found.append(
            (Status.UNHEALTHY, f"{parent.label} refuses rows of now: no partition takes them")
            if parent.default is None
            else (Status.DEGRADED, f"rows of now go into the default partition of {parent.label}")
        )
    if upcoming.problem is not None:
        found.append((Status.DEGRADED, upcoming.problem))
    elif upcoming.new:
        found.append((Status.DEGRADED, f"{parent.label} lacks {len(upcoming.new)} partitions ahead"))
    return found
