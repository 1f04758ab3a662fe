"""Pure: which b-trees to look through, in what order, and rows of what was found. Not here: looking (amcheck.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from herald_pipelines.values import Outcome, format_seconds, quote_identifier

# amcheck compares keys, which takes longer than reading them; an estimate that is too long only defers.
READ_BYTES_PER_SECOND = 16 * 1024**2
MOST_LOSSES = 2


@dataclass(frozen=True)
class Btree:
    """One b-tree with pages of its own."""

    oid: int
    schema: str
    index: str
    filenode: int
    """Of the file on disk: another one after a rebuild."""
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
class Loss:
    """A server process that ended without a word while it looked through an index, and nobody came to a verdict since."""

    oid: int
    filenode: int
    times: int
    last_at: datetime
    is_of_window: bool
    """Whether one of them is of the present window."""


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
    lost: Mapping[str, str]
    """Not looked through, lest the server falls over it once more: each with what happened, by name."""
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
    losses: Mapping[tuple[int, int], Loss],
    *,
    budget_seconds: float,
    hindrance: str | None = None,
) -> CheckPlan:
    """Plan which b-trees to look through: those found unsound, then those never looked through, then the longest ago.

    Once one does not fit the budget, smaller ones further down may still. What this window has found sound is left out.
    An index that a server process did not survive is tried again in a later window, as the last one, since it may have been
    by chance; after the second time it is not touched until it is rebuilt: a process that falls takes all sessions with it.

    Args:
        btrees: of the database.
        verdicts: the newest on each, by oid.
        losses: by oid and file on disk.
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
        if (btree.oid, btree.filenode) in losses:
            rank = 3
        return rank, 0.0 if verdict is None else verdict.checked_at.timestamp(), -btree.size_bytes, btree.oid

    steps: list[CheckStep] = []
    deferred: dict[str, str] = {}
    lost: dict[str, str] = {}
    left_seconds = budget_seconds
    for btree in sorted(due, key=order):
        step = _step(btree, budget_seconds)
        loss = losses.get((btree.oid, btree.filenode))
        if hindrance is not None:
            deferred[btree.name] = hindrance
        elif loss is not None and (loss.is_of_window or loss.times >= MOST_LOSSES):
            lost[btree.name] = deferred[btree.name] = _describe_loss(btree, loss)
        elif step.estimated_seconds > left_seconds:
            deferred[btree.name] = f"it takes about {format_seconds(step.estimated_seconds)}"
        else:
            left_seconds -= step.estimated_seconds
            steps.append(step)
    return CheckPlan(tuple(steps), deferred, unsound, lost, hindrance)


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


def _describe_loss(btree: Btree, loss: Loss) -> str:
    happened = (
        "its server process ended without a word while it looked through it,"
        f" {'once' if loss.times == 1 else f'{loss.times} times'}, last {loss.last_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )
    if loss.times < MOST_LOSSES:
        return f"{happened}; it is tried once more in a later window"
    name = f"{quote_identifier(btree.schema)}.{quote_identifier(btree.index)}"
    return f"{happened}; it is not touched until it is rebuilt: reindex index concurrently {name}"


def _step(btree: Btree, budget_seconds: float) -> CheckStep:
    whole = (btree.size_bytes + btree.table_bytes) / READ_BYTES_PER_SECOND
    if whole <= budget_seconds:
        return CheckStep(btree, with_table=True, estimated_seconds=whole)
    return CheckStep(btree, with_table=False, estimated_seconds=btree.size_bytes / READ_BYTES_PER_SECOND)
