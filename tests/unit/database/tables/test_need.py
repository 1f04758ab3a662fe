"""What a table needs is decided by autovacuum's rules, from frozen data."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from herald_pipelines.database.tables.facts import DatabaseFacts, Holder, Rules, TableFacts
from herald_pipelines.database.tables.need import NeedKind, Scope, dead_limit, find_needs, freeze_limits
from herald_pipelines.database.tables.plan import DONE_ALREADY, VacuumPlan, plan_vacuum
from herald_pipelines.database.tables.report import judge_effect
from herald_pipelines.database.tables.statements import maintenance_statement

RULES = Rules(
    major=18,
    block_bytes=8192,
    counts_are_kept=True,
    vacuum_threshold=50,
    vacuum_scale_factor=0.2,
    vacuum_max_threshold=100_000_000,
    insert_threshold=1000,
    insert_scale_factor=0.2,
    analyze_threshold=50,
    analyze_scale_factor=0.1,
    freeze_max_age=200_000_000,
    multixact_freeze_max_age=400_000_000,
    freeze_table_age=150_000_000,
    multixact_freeze_table_age=150_000_000,
    failsafe_age=1_600_000_000,
    multixact_failsafe_age=1_600_000_000,
    statistics_target=100,
    database_xid_age=1000,
    database_multixact_age=0,
    role="herald_observe",
    sees_sessions=True,
    sees_statistics=True,
)
"""PostgreSQL's defaults."""
WELL = TableFacts(
    oid=1,
    schema="public",
    table="t",
    kind="r",
    is_system=False,
    is_populated=True,
    options={},
    tuples=10_000.0,
    size_bytes=8192 * 100,
    pages=100,
    visible_pages=100,
    frozen_pages=0,
    index_bytes=8192 * 30,
    index_scans=1,
    live_rows=10_000,
    dead_rows=0,
    inserted_rows=0,
    modified_rows=0,
    vacuumed_at=datetime(2026, 11, 1, tzinfo=UTC),
    analyzed_at=datetime(2026, 11, 1, tzinfo=UTC),
    xid_age=1000,
    multixact_age=0,
    is_worked_on=False,
    toast_oid=2,
    toast_options={},
    toast_tuples=0.0,
    toast_bytes=0,
    toast_dead_rows=0,
    toast_inserted_rows=0,
    toast_xid_age=1000,
    toast_multixact_age=0,
    lacks_statistics=False,
)
OLD = {"xid_age": 150_000_000}


def kinds(scope: Scope = Scope.ROUTINE, rules: Rules = RULES, **changes: Any) -> list[NeedKind]:
    return [need.kind for need in find_needs(replace(WELL, **changes), rules, scope)]


def plan(
    *tables: TableFacts,
    scope: Scope = Scope.ROUTINE,
    budget_seconds: float = 600.0,
    holders: tuple[Holder, ...] = (),
    **options: Any,
) -> VacuumPlan:
    return plan_vacuum(DatabaseFacts(RULES, tables, holders), scope, budget_seconds=budget_seconds, **options)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_table_that_is_well_needs_nothing_in_any_scope(scope: Scope):
    assert kinds(scope) == []


@pytest.mark.parametrize(
    ("at_limit", "expected"),
    [
        ({"dead_rows": 2050}, NeedKind.DEAD_ROWS),
        ({"inserted_rows": 3000}, NeedKind.INSERTS),
        ({"modified_rows": 1050}, NeedKind.STATISTICS),
        ({"toast_tuples": 100.0, "toast_dead_rows": 70}, NeedKind.TOAST),
    ],
)
def test_a_need_begins_one_row_above_autovacuums_rule(at_limit: dict[str, Any], expected: NeedKind):
    assert kinds(**at_limit) == []
    counter = list(at_limit)[-1]
    assert kinds(**{**at_limit, counter: at_limit[counter] + 1}) == [expected]


def test_the_storage_parameters_of_a_table_go_before_the_servers():
    options = {"autovacuum_vacuum_threshold": "10", "autovacuum_vacuum_scale_factor": "0"}
    assert kinds(dead_rows=11) == []
    assert kinds(dead_rows=11, options=options) == [NeedKind.DEAD_ROWS]
    # A TOAST table without any has those of its table, as in autovacuum.
    assert kinds(toast_dead_rows=11, options=options) == [NeedKind.TOAST]
    own = {"autovacuum_vacuum_threshold": "100"}
    assert kinds(toast_dead_rows=11, options=options, toast_options=own) == []
    analyze = {"autovacuum_analyze_threshold": "5", "autovacuum_analyze_scale_factor": "0"}
    assert kinds(modified_rows=6, options=analyze) == [NeedKind.STATISTICS]


def test_inserts_are_no_reason_where_the_threshold_is_minus_one():
    assert kinds(inserted_rows=10**9, options={"autovacuum_vacuum_insert_threshold": "-1"}) == []
    assert kinds(rules=replace(RULES, insert_threshold=-1), inserted_rows=10**9) == []


def test_the_rule_of_18_has_a_ceiling_and_counts_unfrozen_pages():
    assert dead_limit(RULES, {}, 1e12) == 100_000_000
    assert dead_limit(replace(RULES, vacuum_max_threshold=-1), {}, 1e12) == pytest.approx(2e11 + 50)
    assert kinds(inserted_rows=1201, frozen_pages=90) == [NeedKind.INSERTS]
    assert kinds(inserted_rows=1201, frozen_pages=None) == []


def test_freezing_is_needed_where_vacuum_by_hand_becomes_aggressive():
    assert kinds(xid_age=149_999_999) == []
    assert kinds(**OLD) == [NeedKind.FREEZE]
    assert kinds(multixact_age=150_000_000) == [NeedKind.FREEZE]
    assert kinds(toast_xid_age=150_000_000) == [NeedKind.FREEZE]
    assert kinds(Scope.FULL, xid_age=75_000_000) == [NeedKind.FREEZE]
    assert kinds(Scope.STATISTICS, **OLD) == []
    # A table may only ask for it earlier than the server.
    assert freeze_limits(RULES, {"autovacuum_freeze_max_age": "1000000"})[0] == 950_000
    assert freeze_limits(RULES, {"autovacuum_freeze_max_age": "2000000000"})[0] == 150_000_000


def test_visibility_is_a_need_of_large_tables_that_indexes_are_scanned_of():
    large = {"size_bytes": 8192 * 2000, "pages": 2000, "visible_pages": 999}
    assert kinds(**large) == [NeedKind.VISIBILITY]
    assert kinds(**{**large, "visible_pages": 1000}) == []
    assert kinds(**large, index_scans=0) == []
    assert kinds(visible_pages=0) == []
    assert kinds(Scope.FULL, visible_pages=99) == [NeedKind.VISIBILITY]


def test_missing_statistics_are_told_where_they_may_be_seen_and_where_nobody_has_analyzed():
    assert kinds(lacks_statistics=True) == [NeedKind.MISSING_STATISTICS]
    assert kinds(lacks_statistics=None) == []
    assert kinds(lacks_statistics=None, tuples=None, analyzed_at=None) == [NeedKind.MISSING_STATISTICS]
    assert (
        kinds(lacks_statistics=None, tuples=None, live_rows=0, size_bytes=0, pages=0, visible_pages=0) == []
    )
    assert kinds(is_populated=False, lacks_statistics=True) == []


def test_a_partitioned_table_is_analyzed_by_what_its_partitions_tell():
    parent = {
        "kind": "p",
        "size_bytes": 0,
        "pages": 0,
        "leaf_rows": 10_000.0,
        "xid_age": 0,
        "toast_oid": None,
    }
    assert kinds(**parent) == []
    assert kinds(**parent, leaf_modified_rows=1051) == [NeedKind.STATISTICS]
    assert kinds(**{**parent, "leaf_rows": 12_000.0}) == [NeedKind.STATISTICS]
    later = datetime(2026, 11, 2, tzinfo=UTC)
    assert kinds(**parent, leaves_analyzed_at=later) == []
    assert kinds(Scope.STATISTICS, **parent, leaves_analyzed_at=later) == [NeedKind.STATISTICS]
    assert kinds(**parent, dead_rows=10**6) == []


def test_the_worst_goes_first_urgent_before_all_and_partitioned_tables_last():
    tables = (
        replace(WELL, oid=1, dead_rows=2100),
        replace(WELL, oid=2, dead_rows=9000),
        replace(WELL, oid=3, kind="p", leaf_rows=10_000.0, leaf_modified_rows=10_000),
        replace(WELL, oid=4, xid_age=200_000_000),
        WELL,
    )
    steps = plan(*tables).steps
    assert [step.oid for step in steps] == [4, 2, 1, 3]
    assert [step.is_urgent for step in steps] == [True, False, False, False]
    assert [step.vacuum for step in steps] == [True, True, True, False]


def test_what_does_not_fit_the_budget_is_deferred_and_smaller_ones_go_on():
    big = replace(WELL, oid=1, dead_rows=9000, size_bytes=2**40, pages=2**27, visible_pages=0)
    small = replace(WELL, oid=2, dead_rows=2100)
    found = plan(big, small, budget_seconds=60)
    assert [step.oid for step in found.steps] == [2]
    assert "more than the whole budget of 1 min 0 s" in found.skipped[0].reason
    # Close to wraparound nothing is too large.
    assert [step.oid for step in plan(replace(big, xid_age=200_000_000), budget_seconds=60).steps] == [1]


def test_what_was_done_or_is_worked_on_is_left_alone():
    needy = replace(WELL, dead_rows=9000)
    assert [each.reason for each in plan(needy, done=frozenset({1})).skipped] == [DONE_ALREADY]
    assert plan(replace(needy, is_worked_on=True)).steps == ()


def test_freezing_behind_a_snapshot_is_not_begun_but_the_rest_is():
    holder = Holder("session pid 7", 160_000_000, 86_400.0, catalogs_only=False)
    found = plan(replace(WELL, **OLD, modified_rows=9000), holders=(holder,))
    assert [need.kind for need in found.steps[0].needs] == [NeedKind.STATISTICS]
    assert (found.skipped[0].is_held, "session pid 7" in found.skipped[0].reason) == (True, True)
    slot = replace(holder, catalogs_only=True)
    assert plan(replace(WELL, **OLD), holders=(slot,)).skipped == ()
    assert plan(replace(WELL, **OLD, is_system=True), holders=(slot,)).steps == ()
    young = replace(holder, xid_age=10)
    assert plan(replace(WELL, **OLD), holders=(young,)).skipped == ()


@pytest.mark.parametrize(
    ("major", "options", "statement"),
    [
        (15, {"toast_only": True}, "VACUUM (SKIP_LOCKED, PARALLEL 0) "),
        (16, {"toast_only": True}, "VACUUM (SKIP_LOCKED, PARALLEL 0, PROCESS_MAIN OFF) "),
        (15, {"freeze": True}, "VACUUM (SKIP_LOCKED, FREEZE) "),
        (14, {"thorough": True}, "VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON) "),
        (15, {"emergency": True}, "VACUUM (SKIP_LOCKED, FREEZE, INDEX_CLEANUP OFF, TRUNCATE OFF) "),
        (
            17,
            {"emergency": True},
            "VACUUM (SKIP_LOCKED, FREEZE, INDEX_CLEANUP OFF, TRUNCATE OFF, BUFFER_USAGE_LIMIT 0) ",
        ),
    ],
)
def test_options_by_version(major: int, options: dict[str, bool], statement: str):
    made = maintenance_statement("a", 'b"', major=major, vacuum=True, analyze=False, **options)
    assert made == statement + '"a"."b"""'


def state(**changes: Any) -> dict[str, Any]:
    same = {
        "vacuums": 1, "toast_vacuums": 1, "analyzes": 1, "dead_rows": 9000, "toast_dead_rows": 0, "xid_age": 100,
        "toast_xid_age": 100, "multixact_age": 0, "toast_multixact_age": 0, "pages": 100, "visible_pages": 50,
    }  # fmt: skip
    return same | changes


def test_an_effect_is_proven_by_the_counters_alone():
    (step,) = plan(replace(WELL, dead_rows=9000)).steps
    assert not judge_effect(step, state(), state(), ()).is_proven
    done = judge_effect(step, state(), state(vacuums=2, dead_rows=0), ())
    assert (done.is_proven, done.held, done.result["removed_rows"]) == (True, None, 9000)
    both = replace(step, analyze=True)
    assert not judge_effect(both, state(), state(vacuums=2), ()).is_proven
    assert judge_effect(both, state(), state(vacuums=2, analyzes=2), ()).is_proven


def test_dead_rows_that_stay_are_laid_to_an_old_holder_only():
    (step,) = plan(replace(WELL, dead_rows=9000)).steps
    after = state(vacuums=2)
    old = Holder("prepared transaction 'x'", 9000, 3600.0, catalogs_only=False)
    assert "prepared transaction 'x'" in (judge_effect(step, state(), after, (old,)).held or "")
    for nobody in ((), (replace(old, seconds=0.1),), (replace(old, catalogs_only=True),)):
        assert judge_effect(step, state(), after, nobody).held is None
    # As few as the rule allows are nobody's fault.
    assert judge_effect(step, state(), state(vacuums=2, dead_rows=2100), (old,)).held is None
