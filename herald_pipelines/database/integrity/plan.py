"""Pure: which b-trees to look through, in what order, and rows of what was found. Not here: looking (amcheck.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.values import Outcome, format_seconds

# amcheck compares keys, which takes longer than reading them; an estimate that is too long only defers.
READ_BYTES_PER_SECOND = 16 * 1024**2


@dataclass(frozen=True)
class Btree:
    """One b-tree with pages of its own."""

    oid: int
    schema: str
    index: str
    size_bytes: int
    table_bytes: int

    @property
    def name(self) -> str:
        """Its qualified name."""
        return f"{self.schema}.{self.index}"


@dataclass(frozen=True)
class Verdict:
    """The newest verdict of amcheck on an index."""

    oid: int
    checked_at: datetime
    is_sound: bool
    is_of_window: bool
    """Whether it is of the present window already."""


@dataclass(frozen=True)
class CheckStep:
    """One b-tree to look through."""

    btree: Btree
    with_table: bool
    """Whether to look also if each row of the table is in the index; false where that alone exceeds the budget."""
    estimated_seconds: float


@dataclass(frozen=True)
class CheckPlan:
    """What one window looks through, in order, and the indexes whose turn comes later, with the reason."""

    steps: tuple[CheckStep, ...]
    deferred: Mapping[str, str]
    known_unsound: frozenset[int]
    """Found unsound by their newest verdict."""
    hindrance: str | None
    """Why nothing can be looked through at all."""


@dataclass(frozen=True)
class Checked:
    """What became of a step."""

    step: CheckStep
    outcome: Outcome
    """Done: sound. Failed: unsound. Skipped: not known."""
    reason: str | None
    seconds: float


def plan_checks(
    btrees: Sequence[Btree],
    verdicts: Mapping[int, Verdict],
    *,
    budget_seconds: float,
    hindrance: str | None = None,
) -> CheckPlan:
    """Plan which b-trees to look through: those found unsound, then those never looked through, then the longest ago.

    Once one does not fit the budget, smaller ones further down may still. What this window has found sound is left out.

    Args:
        btrees: of the database.
        verdicts: the newest on each, by oid.
        budget_seconds: for all of them together.
        hindrance: why none can be looked through, or None.
    """
    unsound = frozenset(
        each.oid for each in btrees if each.oid in verdicts and not verdicts[each.oid].is_sound
    )
    due = [
        each
        for each in btrees
        if each.oid in unsound or each.oid not in verdicts or not verdicts[each.oid].is_of_window
    ]

    def order(btree: Btree) -> tuple[int, float, int, int]:
        verdict = verdicts.get(btree.oid)
        rank = 0 if btree.oid in unsound else 1 if verdict is None else 2
        return rank, 0.0 if verdict is None else verdict.checked_at.timestamp(), -btree.size_bytes, btree.oid

    steps: list[CheckStep] = []
    deferred: dict[str, str] = {}
    left_seconds = budget_seconds
    for btree in sorted(due, key=order):
        step = _step(btree, budget_seconds)
        if hindrance is not None:
            deferred[btree.name] = hindrance
        elif step.estimated_seconds > left_seconds:
            deferred[btree.name] = f"it takes about {format_seconds(step.estimated_seconds)}"
        else:
            left_seconds -= step.estimated_seconds
            steps.append(step)
    return CheckPlan(tuple(steps), deferred, unsound, hindrance)


def describe_checks(plan: CheckPlan, checked: Sequence[Checked] | None) -> list[dict[str, Any]]:
    """Return a JSON-able row an index of the plan.

    Args:
        plan: what was to be looked through.
        checked: what was found; None when the plan is all.
    """
    found = {each.step.btree.oid: each for each in checked or ()}
    rows: list[dict[str, Any]] = []
    for step in plan.steps:
        each = found.get(step.btree.oid)
        is_sound = None
        if each is not None and each.outcome is not Outcome.SKIPPED:
            is_sound = each.outcome is Outcome.DONE
        rows.append(
            {
                "schema": step.btree.schema,
                "index": step.btree.index,
                "size_bytes": step.btree.size_bytes,
                "with_table": step.with_table,
                "estimated_seconds": round(step.estimated_seconds, 3),
                "sound": is_sound,
                "seconds": None if each is None else round(each.seconds, 3),
                "reason": None if each is None else each.reason,
            }
        )
    return rows


def _step(btree: Btree, budget_seconds: float) -> CheckStep:
    whole = (btree.size_bytes + btree.table_bytes) / READ_BYTES_PER_SECOND
    if whole <= budget_seconds:
        return CheckStep(btree, with_table=True, estimated_seconds=whole)
    return CheckStep(btree, with_table=False, estimated_seconds=btree.size_bytes / READ_BYTES_PER_SECOND)
