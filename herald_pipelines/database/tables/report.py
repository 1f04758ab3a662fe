"""Frozen: what became of a plan, and the same as rows for machines. Pure. Not here: carrying it out (optimize.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herald_pipelines.database.tables.facts import Holder
from herald_pipelines.database.tables.need import Need
from herald_pipelines.database.tables.plan import SkippedTable, VacuumPlan, VacuumStep, describe_holder
from herald_pipelines.values import Outcome

YOUNGEST_HOLDER_SECONDS = 5.0
"""Transactions younger than this are the daily traffic, not what keeps dead rows for long."""


@dataclass(frozen=True)
class Handled:
    """What became of one table of a plan."""

    name: str
    oid: int
    outcome: Outcome
    reason: str | None = None
    is_held: bool = False
    """It was vacuumed, and somebody's old snapshot kept what should have gone."""
    seconds: float | None = None
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What was measured after."""


@dataclass(frozen=True)
class VacuumReport:
    """What became of a plan."""

    handled: tuple[Handled, ...]

    def of(self, *outcomes: Outcome) -> tuple[Handled, ...]:
        """Return the tables with one of some outcomes."""
        return tuple(each for each in self.handled if each.outcome in outcomes)

    @property
    def held(self) -> tuple[Handled, ...]:
        """Tables that could not be cleaned for somebody's old snapshot."""
        return tuple(each for each in self.handled if each.is_held)

    @property
    def failed(self) -> tuple[Handled, ...]:
        """Tables that failed for another reason."""
        return tuple(each for each in self.of(Outcome.FAILED) if not each.is_held)

    @property
    def removed_rows(self) -> int:
        """Dead rows that are gone."""
        return sum(int(each.result.get("removed_rows", 0)) for each in self.handled)

    @property
    def seconds(self) -> float:
        """How long the statements took."""
        return sum(each.seconds or 0.0 for each in self.handled)


@dataclass(frozen=True)
class Effect:
    """What a statement did, by the server's own counters."""

    is_proven: bool
    """The counts of VACUUM and ANALYZE by hand moved, of whatever was asked for."""
    held: str | None
    """What remained, and who kept it; null when nothing did for that reason."""
    result: Mapping[str, Any]


def judge_effect(
    step: VacuumStep,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    holders: Sequence[Holder],
) -> Effect:
    """Compare a table before and after its statement.

    VACUUM reports as dead what it may not remove yet, so more dead rows than the rule allows, with somebody who holds the
    horizon, means that it was in vain; without one they died meanwhile.

    Args:
        step: what was asked for.
        before: row of tables/read_state.
        after: another one.
        holders: who held the horizon when it was over, the oldest first.
    """
    vacuumed = before["vacuums"] != after["vacuums"] or before["toast_vacuums"] != after["toast_vacuums"]
    analyzed = before["analyzes"] != after["analyzes"]
    dead_before = before["dead_rows"] + before["toast_dead_rows"]
    dead_after = after["dead_rows"] + after["toast_dead_rows"]
    result: dict[str, Any] = {"dead_rows": dead_after, "removed_rows": 0}
    held: str | None = None
    if step.vacuum:
        xid_age = max(after["xid_age"], after["toast_xid_age"])
        multixact_age = max(after["multixact_age"], after["toast_multixact_age"])
        result |= {
            "removed_rows": max(dead_before - dead_after, 0),
            "visible_share": round(after["visible_pages"] / after["pages"], 4) if after["pages"] else None,
            "xid_age": xid_age,
            "multixact_age": multixact_age,
        }
        holder = _find_holder(holders, is_system=step.is_system)
        if vacuumed and holder is not None:
            if step.freezes and (xid_age >= step.xid_limit or multixact_age >= step.multixact_limit):
                held = f"it is still {xid_age} transactions and {multixact_age} multixacts old: {describe_holder(holder)}"
            elif dead_after > step.dead_limit:
                held = f"{dead_after} of {max(dead_before, dead_after)} dead rows remain: {describe_holder(holder)}"
    return Effect(
        is_proven=(vacuumed or not step.vacuum) and (analyzed or not step.analyze), held=held, result=result
    )


def _find_holder(holders: Sequence[Holder], *, is_system: bool) -> Holder | None:
    return next(
        (
            each
            for each in holders
            if (is_system or not each.catalogs_only)
            and (each.seconds is None or each.seconds >= YOUNGEST_HOLDER_SECONDS)
        ),
        None,
    )


def describe_needs(needs: Sequence[Need]) -> list[dict[str, Any]]:
    """Return a JSON-able row a need."""
    return [{"kind": need.kind.value, "ratio": round(need.ratio, 3), "reason": need.reason} for need in needs]


def describe_holders(holders: Sequence[Holder]) -> list[dict[str, Any]]:
    """Return a JSON-able row for each of those who hold the horizon."""
    return [
        {
            "holder": each.holder,
            "xid_age": each.xid_age,
            "seconds": None if each.seconds is None else round(each.seconds, 1),
            "catalogs_only": each.catalogs_only,
        }
        for each in holders
    ]


def describe_work(
    plan: VacuumPlan, report: VacuumReport | None, forbidden: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """Return a JSON-able row a table that was planned for or left out: what it needs, what became of it.

    Args:
        plan: the tables.
        report: what became of them; None when the plan is all.
        forbidden: why the role that would maintain them may not, by oid.
    """
    handled = {each.oid: each for each in report.handled} if report else {}
    rows: list[dict[str, Any]] = []
    for table in (*plan.steps, *plan.skipped):
        fate = handled.get(table.oid) if isinstance(table, VacuumStep) else None
        outcome, reason = _fate(table, fate, forbidden or {})
        rows.append(
            {
                "schema": table.schema,
                "table": table.table,
                "needs": describe_needs(table.needs),
                "size_bytes": table.size_bytes,
                "dead_rows": table.dead_rows,
                "dead_rows_after": fate.result.get("dead_rows") if fate else None,
                "removed_rows": fate.result.get("removed_rows") if fate else None,
                "estimated_seconds": round(table.estimated_seconds, 3)
                if isinstance(table, VacuumStep)
                else None,
                "seconds": None if fate is None or fate.seconds is None else round(fate.seconds, 3),
                "statement": table.statement if isinstance(table, VacuumStep) else None,
                "outcome": outcome,
                "reason": reason,
            }
        )
    return rows


def _fate(
    table: VacuumStep | SkippedTable, fate: Handled | None, forbidden: Mapping[int, str]
) -> tuple[str, str | None]:
    if isinstance(table, SkippedTable):
        return "held" if table.is_held else "skipped", table.reason
    if fate is not None:
        return "held" if fate.is_held else fate.outcome.value, fate.reason
    if table.oid in forbidden:
        return "refused", forbidden[table.oid]
    return "planned", None
