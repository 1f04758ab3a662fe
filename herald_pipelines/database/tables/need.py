"""Pure: what a table needs, and how badly, by PostgreSQL's own rules. Not here: what is done about it (plan.py).

The rules are those of autovacuum (PostgreSQL's documentation, "The Autovacuum Daemon"), with the storage parameters of the
table where it has some: so a table that autovacuum looks after in time needs nothing, and one that it does not (it is
switched off, starved, cancelled by locks, or it is a partitioned table, which it never analyzes) does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from herald_pipelines.database.tables.facts import Rules, TableFacts

CERTAIN_FREEZE_SHARE = 0.95
"""Share of autovacuum_freeze_max_age above which vacuum_freeze_table_age has no effect (vacuum.c)."""
VISIBLE_SHARE = 0.5
MIN_VISIBILITY_PAGES = 1000
"""Ours, for PostgreSQL has no rule: in a table of 8 MiB that indexes are scanned of, less than half of the pages are known to
be all-visible, so that most rows of index-only scans are looked up in the table after all."""
BYTES_A_ROW = 100
"""Taken for the rows of a table that nobody has counted."""


class Scope(StrEnum):
    """How much counts as a need."""

    ROUTINE = "routine"
    """What autovacuum would act on."""
    STATISTICS = "statistics"
    """Statistics alone: any change since the last ANALYZE."""
    FULL = "full"
    """Any change, any page that is not all-visible, and freezing at half of the age."""


class NeedKind(StrEnum):
    """Why a table needs VACUUM or ANALYZE."""

    FREEZE = "freeze"
    DEAD_ROWS = "dead rows"
    TOAST = "toast"
    INSERTS = "inserts"
    VISIBILITY = "visibility"
    STATISTICS = "statistics"
    MISSING_STATISTICS = "missing statistics"


ANALYZE_KINDS = frozenset({NeedKind.STATISTICS, NeedKind.MISSING_STATISTICS})


@dataclass(frozen=True)
class Need:
    """One thing that a table needs."""

    kind: NeedKind
    value: float
    """What was measured: rows, transactions, or pages that are not all-visible."""
    limit: float
    """From where on it counts."""
    reason: str
    is_xid_age: bool = False
    """Whether the value is an age in transactions, which a snapshot may hold."""

    @property
    def ratio(self) -> float:
        """How far the limit is exceeded."""
        return self.value / max(self.limit, 1.0)


def dead_limit(
    rules: Rules, options: Mapping[str, str], tuples: float, scope: Scope = Scope.ROUTINE
) -> float:
    """Return the number of dead rows above which autovacuum vacuums a table.

    threshold + scale_factor * tuples, since PostgreSQL 18 at most max_threshold. Any row counts in a full maintenance.
    """
    if scope is Scope.FULL:
        return 0.0
    limit = (
        _number(options, "autovacuum_vacuum_threshold", rules.vacuum_threshold)
        + _number(options, "autovacuum_vacuum_scale_factor", rules.vacuum_scale_factor) * tuples
    )
    most = _number(options, "autovacuum_vacuum_max_threshold", rules.vacuum_max_threshold)
    return min(limit, most) if most >= 0 else limit


def freeze_limits(
    rules: Rules, options: Mapping[str, str], scope: Scope = Scope.ROUTINE
) -> tuple[float, float]:
    """Return the ages of transactions and multixacts from which on a table is frozen.

    Where VACUUM by hand becomes aggressive: vacuum_freeze_table_age, at most 95 % of what forces autovacuum to it; half of
    that in a full maintenance, which has a week until the next.
    """
    # The storage parameters may only lower what holds for the server (autovacuum.c).
    xids = min(rules.freeze_max_age, _number(options, "autovacuum_freeze_max_age", rules.freeze_max_age))
    multixacts = min(
        rules.multixact_freeze_max_age,
        _number(options, "autovacuum_multixact_freeze_max_age", rules.multixact_freeze_max_age),
    )
    share = 0.5 if scope is Scope.FULL else 1.0
    return (
        share * min(rules.freeze_table_age, CERTAIN_FREEZE_SHARE * xids),
        share * min(rules.multixact_freeze_table_age, CERTAIN_FREEZE_SHARE * multixacts),
    )


def find_needs(table: TableFacts, rules: Rules, scope: Scope) -> tuple[Need, ...]:
    """Return what a table needs, the worst first; nothing when it is well.

    Args:
        table: as it is.
        rules: of the server.
        scope: how much counts as a need.
    """
    needs: list[Need] = []
    if not table.is_partitioned and scope is not Scope.STATISTICS:
        needs += _vacuum_needs(table, rules, scope)
    needs += _analyze_needs(table, rules, scope)
    return tuple(sorted(needs, key=lambda need: (need.kind is not NeedKind.FREEZE, -need.ratio)))


def _vacuum_needs(table: TableFacts, rules: Rules, scope: Scope) -> list[Need]:
    needs: list[Need] = []
    toast_options = table.toast_options or table.options
    for options, ages in (
        (table.options, (table.xid_age, table.multixact_age)),
        (toast_options, (table.toast_xid_age, table.toast_multixact_age)),
    ):
        for age, limit, what in zip(
            ages, freeze_limits(rules, options, scope), ("transactions", "multixacts"), strict=True
        ):
            if age >= limit and age > 0:
                reason = f"it is {age} {what} old, to be frozen from {limit:.0f} on"
                needs.append(Need(NeedKind.FREEZE, age, limit, reason, is_xid_age=what == "transactions"))
    tuples = table.tuples if table.tuples is not None else table.live_rows
    dead = dead_limit(rules, table.options, tuples, scope)
    if table.dead_rows > dead:
        needs.append(
            Need(
                NeedKind.DEAD_ROWS,
                table.dead_rows,
                dead,
                f"{table.dead_rows} dead rows, more than {dead:.0f}",
            )
        )
    inserts = _insert_limit(rules, table, scope)
    if inserts is not None and table.inserted_rows > inserts:
        reason = f"{table.inserted_rows} rows were inserted since its last VACUUM, more than {inserts:.0f}"
        needs.append(Need(NeedKind.INSERTS, table.inserted_rows, inserts, reason))
    toast_dead = dead_limit(rules, toast_options, table.toast_tuples or 0.0, scope)
    if table.toast_dead_rows > toast_dead:
        reason = f"its TOAST table has {table.toast_dead_rows} dead rows, more than {toast_dead:.0f}"
        needs.append(Need(NeedKind.TOAST, table.toast_dead_rows, toast_dead, reason))
    if (visibility := _visibility_need(table, rules, scope)) is not None:
        needs.append(visibility)
    # One need of freezing is told, the worst: VACUUM mends all of them.
    freezes = sorted((need for need in needs if need.kind is NeedKind.FREEZE), key=lambda need: -need.ratio)
    return [*freezes[:1], *(need for need in needs if need.kind is not NeedKind.FREEZE)]


def _visibility_need(table: TableFacts, rules: Rules, scope: Scope) -> Need | None:
    pages = max(table.pages, table.size_bytes // rules.block_bytes)
    wanted = 1.0 if scope is Scope.FULL else VISIBLE_SHARE
    matters = scope is Scope.FULL or (pages >= MIN_VISIBILITY_PAGES and table.index_scans > 0)
    if not matters or table.visible_pages >= wanted * pages:
        return None
    reason = f"{table.visible_pages} of its {pages} pages are known to be all-visible"
    return Need(NeedKind.VISIBILITY, pages - table.visible_pages, (1 - wanted) * pages, reason)


def _insert_limit(rules: Rules, table: TableFacts, scope: Scope) -> float | None:
    """Return the inserts above which autovacuum vacuums a table, or None when they are no reason.

    threshold + scale_factor * tuples, since PostgreSQL 18 of the share of pages that are not frozen.
    """
    base = _number(table.options, "autovacuum_vacuum_insert_threshold", rules.insert_threshold)
    if base < 0:
        return None
    if scope is Scope.FULL:
        return 0.0
    factor = _number(table.options, "autovacuum_vacuum_insert_scale_factor", rules.insert_scale_factor)
    unfrozen = 1.0
    if table.frozen_pages is not None and table.pages > 0:
        unfrozen = 1 - min(table.frozen_pages, table.pages) / table.pages
    return base + factor * (table.tuples or 0.0) * unfrozen


def _analyze_needs(table: TableFacts, rules: Rules, scope: Scope) -> list[Need]:
    # ANALYZE leaves pg_statistic itself out.
    if not table.is_populated or (table.is_system and table.table == "pg_statistic"):
        return []
    modified, rows = _modified(table)
    limit = (
        _number(table.options, "autovacuum_analyze_threshold", rules.analyze_threshold)
        + _number(table.options, "autovacuum_analyze_scale_factor", rules.analyze_scale_factor) * rows
        if scope is Scope.ROUTINE
        else 0.0
    )
    needs: list[Need] = []
    if modified > limit:
        reason = f"{modified:.0f} rows were modified since its last ANALYZE, more than {limit:.0f}"
        needs.append(Need(NeedKind.STATISTICS, modified, limit, reason))
    elif scope is not Scope.ROUTINE and _is_behind_its_leaves(table):
        reason = "partitions were analyzed since its last ANALYZE"
        needs.append(Need(NeedKind.STATISTICS, 1.0, 0.0, reason))
    held = table.leaf_rows if table.is_partitioned else max(table.live_rows, table.size_bytes / BYTES_A_ROW)
    if held and (table.tuples is None or table.lacks_statistics):
        reason = "the planner lacks statistics that ANALYZE makes"
        needs.append(Need(NeedKind.MISSING_STATISTICS, max(held, limit, 1.0), limit, reason))
    return needs


def _modified(table: TableFacts) -> tuple[float, float]:
    """Return the rows that were modified since the last ANALYZE, and the rows there were then.

    Nobody counts those of a partitioned table. What is known is what changed in its partitions since each of them was
    analyzed, and how many rows they hold in place of those it was analyzed with: updates in partitions that were analyzed
    meanwhile are not seen, which the weekly scope makes up for.
    """
    if not table.is_partitioned:
        return table.modified_rows, table.tuples or 0.0
    tuples = table.tuples or 0.0
    return table.leaf_modified_rows + abs(table.leaf_rows - tuples), tuples


def _is_behind_its_leaves(table: TableFacts) -> bool:
    if not table.is_partitioned or table.leaves_analyzed_at is None:
        return False
    return table.analyzed_at is None or table.leaves_analyzed_at > table.analyzed_at


def _number(options: Mapping[str, str], name: str, otherwise: float) -> float:
    return float(options[name]) if name in options else float(otherwise)
