import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.database.indexes.bloat import BloatEstimate
from herald_pipelines.database.indexes.facts import IndexFacts, IndexUsage
from herald_pipelines.database.indexes.plan import RebuildLimits, plan_rebuilds
from herald_pipelines.settings import IndexSettings

MIB = 1024 * 1024
LIMITS = RebuildLimits(
    IndexSettings(
        bloat_threshold=0.2, min_size_bytes=MIB, free_disk_factor=3, assumed_free_disk_bytes=50 * MIB
    ),
    budget_seconds=1000,
    read_bytes_per_second=10 * MIB,
    free_disk_bytes=1000 * MIB,
)


def index(oid: int, **changes: object) -> IndexFacts:
    plain = IndexFacts(
        oid=oid,
        schema="public",
        table="t",
        table_oid=1,
        name=f"i{oid}",
        access_method="btree",
        definition=f"CREATE INDEX i{oid} ON public.t USING btree (a)",
        size_bytes=10 * MIB,
        tuples=1e5,
        relfilenode=oid,
        fillfactor=90,
        deduplicates=True,
        keys=(),
        included=(),
        predicate=None,
        is_unique=False,
        is_primary=False,
        is_exclusion=False,
        is_immediate=True,
        nulls_not_distinct=False,
        is_valid=True,
        is_ready=True,
        is_clustered=False,
        is_replica_identity=False,
        is_partitioned=False,
        parent_oid=None,
        constraint=None,
        referenced_by_foreign_key=False,
        supports_foreign_key=None,
        table_tuples=1e5,
        table_bytes=50 * MIB,
        table_writes=10,
        table_scans=50,
        usage=IndexUsage(9, 90, 90, 900, 10),
    )
    return replace(plain, **changes)


def estimate(ratio: float, size_bytes: int = 10 * MIB, **changes: object) -> BloatEstimate:
    plain = BloatEstimate(
        ratio=ratio,
        bloat_bytes=int(ratio * size_bytes),
        method="pgstatindex",
        error_bound=0.02,
        confirmed=True,
    )
    return replace(plain, **changes)


def reasons(*facts: IndexFacts, bloat, limits=LIMITS, building=frozenset()) -> dict[int, str]:
    return {each.oid: each.reason for each in plan_rebuilds(facts, bloat, limits, building=building).skipped}


def test_most_reclaimed_bytes_per_byte_read_come_first():
    small_table = index(10, table_bytes=10 * MIB)
    large_table = index(20, table_bytes=100 * MIB)
    plan = plan_rebuilds([large_table, small_table], {10: estimate(0.3), 20: estimate(0.9)}, LIMITS)
    assert [step.oid for step in plan.steps] == [10, 20]
    assert plan.steps[0].statement == 'REINDEX INDEX CONCURRENTLY "public"."i10"'
    assert plan.promised_bytes == int(0.3 * 10 * MIB) + int(0.9 * 10 * MIB)


def test_healthy_and_small_indexes_are_in_neither_list():
    facts = [index(10), index(20, size_bytes=MIB - 1), index(30)]
    plan = plan_rebuilds(facts, {10: estimate(0.2), 20: estimate(0.9)}, LIMITS)
    assert plan.steps == plan.skipped == ()


def test_an_unconfirmed_estimate_counts_only_beyond_its_error():
    facts = [index(10), index(20), index(30)]
    bloat = {
        10: estimate(0.3, confirmed=False, error_bound=0.05),
        20: estimate(0.24, confirmed=False, error_bound=0.05),
        30: estimate(0.9, confirmed=False, error_bound=0.8),
    }
    plan = plan_rebuilds(facts, bloat, LIMITS)
    assert [step.oid for step in plan.steps] == [10]
    assert [each.oid for each in plan.skipped] == [20, 30]
    assert all("not confirmed" in each.reason for each in plan.skipped)


def test_exclusion_invalid_and_building_indexes_are_skipped_with_a_reason():
    facts = [index(10, is_exclusion=True), index(20, is_valid=False), index(30, is_valid=False), index(40)]
    found = reasons(*facts, bloat={10: estimate(0.9), 40: estimate(0.9)}, building=frozenset({30, 40}))
    assert "exclusion constraint" in found[10]
    assert "not valid" in found[20]
    assert found[30] == found[40] == "it is being built"


def test_a_partitioned_index_is_planned_by_its_partitions():
    parent = index(10, is_partitioned=True, size_bytes=0)
    plan = plan_rebuilds([parent, index(11, parent_oid=10)], {11: estimate(0.5)}, LIMITS)
    assert [step.oid for step in plan.steps] == [11]
    assert plan.skipped == ()


def test_disk_that_is_known_or_assumed_bounds_the_size():
    facts = [index(10, size_bytes=100 * MIB)]
    bloat = {10: estimate(0.5, 100 * MIB)}
    assert reasons(*facts, bloat=bloat) == {}
    small = replace(LIMITS, free_disk_bytes=299 * MIB)
    assert (
        reasons(*facts, bloat=bloat, limits=small)[10] == "it needs 300.0 MiB of disk and 299.0 MiB are free"
    )
    unknown = replace(LIMITS, free_disk_bytes=None)
    assert "cannot be measured" in reasons(*facts, bloat=bloat, limits=unknown)[10]


def test_what_does_not_fit_the_budget_is_deferred_and_smaller_ones_follow():
    facts = [
        index(10, table_bytes=10 * MIB),
        index(20, table_bytes=400 * MIB, size_bytes=100 * MIB),
        index(30, table_bytes=40 * MIB),
    ]
    bloat = {10: estimate(0.9), 20: estimate(0.9, 100 * MIB), 30: estimate(0.5)}
    plan = plan_rebuilds(facts, bloat, replace(LIMITS, budget_seconds=20))
    assert [step.oid for step in plan.steps] == [10, 30]
    assert "more than the whole budget" in plan.skipped[0].reason
    plan = plan_rebuilds(facts, bloat, replace(LIMITS, budget_seconds=83))
    assert "deferred" in plan.skipped[0].reason


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 500), st.floats(0, 1), st.booleans(), st.booleans()),
        max_size=15,
    ),
    st.floats(0, 300),
)
def test_a_plan_keeps_its_limits_and_forgets_nothing(shapes, budget_seconds: float):
    facts, bloat = [], {}
    for oid, (size_mib, table_mib, ratio, exclusion, confirmed) in enumerate(shapes, 1):
        size = size_mib * MIB
        facts.append(index(oid, size_bytes=size, table_bytes=table_mib * MIB, is_exclusion=exclusion))
        bloat[oid] = estimate(ratio, size, confirmed=confirmed)
    limits = replace(LIMITS, budget_seconds=budget_seconds)
    plan = plan_rebuilds(facts, bloat, limits)
    assert plan.estimated_seconds <= budget_seconds + 1e-6
    assert all(step.disk_bytes <= limits.usable_disk_bytes for step in plan.steps)
    scores = [step.order_score for step in plan.steps]
    assert scores == sorted(scores, reverse=True)
    named = [each.oid for each in (*plan.steps, *plan.skipped)]
    wanted = {each.oid for each in facts if each.size_bytes >= MIB and bloat[each.oid].ratio > 0.2}
    assert len(named) == len(set(named))
    assert set(named) == wanted
    json.dumps(plan.as_dict())
