"""Pure: which tables to vacuum and analyze, in what order, and why the others are left alone. Not here: doing it."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.database.tables.facts import DatabaseFacts, Holder, Rules, TableFacts
from herald_pipelines.database.tables.need import (
    ANALYZE_KINDS,
    Need,
    NeedKind,
    Scope,
    dead_limit,
    find_needs,
    freeze_limits,
)
from herald_pipelines.database.tables.statements import maintenance_statement
from herald_pipelines.values import format_seconds

# Slow disks read this much; an estimate that is too long only defers, one too short overruns the budget.
READ_BYTES_PER_SECOND = 32 * 1024**2
SAMPLED_ROWS = 300
"""ANALYZE reads as many pages at most as rows, for each unit of the statistics target (analyze.c)."""
DONE_ALREADY = "it was done in this window already"


@dataclass(frozen=True)
class VacuumStep:
    """One table to vacuum, analyze, or both."""

    oid: int
    schema: str
    table: str
    needs: tuple[Need, ...]
    """The worst first."""
    vacuum: bool
    analyze: bool
    is_system: bool
    size_bytes: int
    dead_rows: int
    """Of the table and its TOAST table."""
    dead_limit: float
    """Dead rows that may stay: autovacuum's rule."""
    xid_limit: float
    """Age at which its freezing is needed; from that on it must be younger afterwards."""
    multixact_limit: float
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    is_urgent: bool
    """Autovacuum would be forced to freeze it by now: it goes before all, whatever it takes."""
    estimated_seconds: float
    statement: str

    @property
    def name(self) -> str:
        """The qualified name of the table."""
        return f"{self.schema}.{self.table}"

    @property
    def reason(self) -> str:
        """What it needs, in words."""
        return "; ".join(need.reason for need in self.needs)

    @property
    def freezes(self) -> bool:
        """Whether it is to be frozen."""
        return any(need.kind is NeedKind.FREEZE for need in self.needs)

    def evidence(self) -> dict[str, Any]:
        """Return what the ledger keeps of why the table is worked on."""
        return {
            "needs": [need.kind.value for need in self.needs],
            "reason": self.reason,
            "dead_rows": self.dead_rows,
            "size_bytes": self.size_bytes,
            "estimated_seconds": round(self.estimated_seconds, 3),
            "statement": self.statement,
        }


@dataclass(frozen=True)
class SkippedTable:
    """One table that needs something and is left alone."""

    oid: int
    schema: str
    table: str
    needs: tuple[Need, ...]
    size_bytes: int
    dead_rows: int
    reason: str
    is_held: bool = False
    """Somebody's old snapshot would make it in vain."""

    @property
    def name(self) -> str:
        """The qualified name of the table."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class VacuumPlan:
    """What one window does, in order, and what it leaves out. Tables that are well are in neither."""

    scope: Scope
    steps: tuple[VacuumStep, ...]
    skipped: tuple[SkippedTable, ...]
    holders: tuple[Holder, ...]
    """Whoever keeps rows that died lately from being removed, the oldest first."""
    notes: tuple[str, ...]

    @property
    def estimated_seconds(self) -> float:
        """How long all of it is expected to take."""
        return sum(step.estimated_seconds for step in self.steps)


def plan_vacuum(
    facts: DatabaseFacts, scope: Scope, *, budget_seconds: float, done: AbstractSet[int] = frozenset()
) -> VacuumPlan:
    """Plan the maintenance of a database's tables: what is close to wraparound first, then by how far a limit is exceeded.

    Once a table does not fit the budget, smaller ones further down may still. Partitioned tables come after all others, so
    that they are analyzed with what their partitions hold by then.

    Args:
        facts: of the database.
        scope: how much counts as a need.
        budget_seconds: for all tables together.
        done: oids of tables that this window has done already.
    """
    wanted: list[tuple[VacuumStep, TableFacts]] = []
    skipped: list[SkippedTable] = []
    for table in facts.tables:
        needs = find_needs(table, facts.rules, scope)
        if not needs:
            continue
        if table.oid in done:
            skipped.append(_skip(table, needs, DONE_ALREADY))
        elif table.is_worked_on:
            skipped.append(_skip(table, needs, "a VACUUM or ANALYZE of somebody else is at it"))
        else:
            holder = next((each for each in facts.holders if table.is_system or not each.catalogs_only), None)
            lost = tuple(need for need in needs if _is_in_vain(need, holder))
            useful = tuple(need for need in needs if need not in lost)
            if holder is not None and lost:
                reason = f"nothing of it can be frozen: {describe_holder(holder)}"
                skipped.append(_skip(table, lost, reason, is_held=True))
            if useful:
                wanted.append((_step(table, useful, facts.rules, scope), table))
    steps: list[VacuumStep] = []
    left_seconds = budget_seconds
    for step, table in sorted(wanted, key=lambda each: _order(*each)):
        if step.estimated_seconds > left_seconds and not step.is_urgent:
            skipped.append(_skip(table, step.needs, _deferral(step, left_seconds, budget_seconds)))
            continue
        left_seconds -= step.estimated_seconds
        steps.append(step)
    ordered = tuple(sorted(skipped, key=lambda each: (each.schema, each.table, each.reason)))
    return VacuumPlan(scope, tuple(steps), ordered, facts.holders, facts.notes)


def describe_holder(holder: Holder) -> str:
    """Say who keeps rows from being removed and frozen."""
    return f"{holder.holder} keeps all that died in the last {holder.xid_age} transactions"


def _is_in_vain(need: Need, holder: Holder | None) -> bool:
    """Whether freezing would leave the table as old as it must not be: nothing younger than a snapshot is frozen."""
    return need.is_xid_age and holder is not None and holder.xid_age >= need.limit


def _order(step: VacuumStep, table: TableFacts) -> tuple[bool, bool, float, int]:
    return (not step.is_urgent, table.is_partitioned, -max(need.ratio for need in step.needs), step.oid)


def _step(table: TableFacts, needs: tuple[Need, ...], rules: Rules, scope: Scope) -> VacuumStep:
    kinds = {need.kind for need in needs}
    vacuum, analyze = bool(kinds - ANALYZE_KINDS), bool(kinds & ANALYZE_KINDS)
    xid_age = max(table.xid_age, table.toast_xid_age)
    multixact_age = max(table.multixact_age, table.toast_multixact_age)
    xid_limit, multixact_limit = freeze_limits(rules, table.options, scope)
    return VacuumStep(
        oid=table.oid,
        schema=table.schema,
        table=table.table,
        needs=needs,
        vacuum=vacuum,
        analyze=analyze,
        is_system=table.is_system,
        size_bytes=table.size_bytes + table.toast_bytes,
        dead_rows=table.dead_rows + table.toast_dead_rows,
        dead_limit=dead_limit(rules, table.options, table.tuples or table.live_rows)
        + dead_limit(rules, table.toast_options or table.options, table.toast_tuples or 0.0),
        xid_limit=xid_limit,
        multixact_limit=multixact_limit,
        vacuumed_at=table.vacuumed_at,
        analyzed_at=table.analyzed_at,
        is_urgent=NeedKind.FREEZE in kinds
        and (xid_age >= rules.freeze_max_age or multixact_age >= rules.multixact_freeze_max_age),
        estimated_seconds=_estimate(table, kinds, rules, vacuum=vacuum, analyze=analyze),
        statement=maintenance_statement(
            table.schema,
            table.table,
            major=rules.major,
            vacuum=vacuum,
            analyze=analyze,
            toast_only=kinds == {NeedKind.TOAST},
            freeze=NeedKind.FREEZE in kinds,
            thorough=scope is Scope.FULL,
            emergency=NeedKind.FREEZE in kinds
            and (xid_age >= rules.failsafe_age or multixact_age >= rules.multixact_failsafe_age),
        ),
    )


def _estimate(
    table: TableFacts, kinds: AbstractSet[NeedKind], rules: Rules, *, vacuum: bool, analyze: bool
) -> float:
    read_bytes = 0.0
    if vacuum:
        share = 1 - min(table.visible_pages, table.pages) / table.pages if table.pages else 1.0
        # Freezing reads what is all-visible, too; indexes are read when rows are removed.
        read_bytes += table.size_bytes * (1.0 if NeedKind.FREEZE in kinds else share) + table.toast_bytes
        read_bytes += table.index_bytes if kinds & {NeedKind.DEAD_ROWS, NeedKind.FREEZE} else 0
    if analyze:
        sampled = SAMPLED_ROWS * rules.statistics_target * rules.block_bytes
        read_bytes += min(table.leaf_bytes if table.is_partitioned else table.size_bytes, sampled)
    return read_bytes / READ_BYTES_PER_SECOND


def _skip(table: TableFacts, needs: tuple[Need, ...], reason: str, *, is_held: bool = False) -> SkippedTable:
    return SkippedTable(
        oid=table.oid,
        schema=table.schema,
        table=table.table,
        needs=needs,
        size_bytes=table.size_bytes + table.toast_bytes,
        dead_rows=table.dead_rows + table.toast_dead_rows,
        reason=reason,
        is_held=is_held,
    )


def _deferral(step: VacuumStep, left_seconds: float, budget_seconds: float) -> str:
    seconds = format_seconds(step.estimated_seconds)
    if step.estimated_seconds > budget_seconds:
        return f"it takes about {seconds}, more than the whole budget of {format_seconds(budget_seconds)}"
    return f"deferred: it takes about {seconds} and {format_seconds(left_seconds)} of the budget are left"
