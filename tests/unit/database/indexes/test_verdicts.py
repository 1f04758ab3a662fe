from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.database.indexes.bloat import BloatEstimate
from herald_pipelines.database.indexes.ddl import create_statement, drop_statement, reindex_statement
from herald_pipelines.database.indexes.facts import IndexFacts, IndexKey, IndexUsage
from herald_pipelines.database.indexes.overlaps import covers, find_overlaps, protection
from herald_pipelines.database.indexes.verdicts import UsageWindow, Verdict, VerdictKind, judge
from herald_pipelines.settings.models import IndexSettings

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
SETTINGS = IndexSettings()
MIB = 1024 * 1024
IN_USE = UsageWindow(
    scans=9, days=60, blocks_hit=900, blocks_read=10, tuples_read=90, table_scans=50, was_reset=False
)
IDLE = replace(IN_USE, scans=0, tuples_read=0)


def key(
    name: str, *, options: int = 0, opclass: int = 1978, attnum: int = 1, n_distinct: float | None = None
):
    return IndexKey(name, attnum, "integer", opclass, 0, options, 4, 0, n_distinct)


def index(oid: int, *columns: str | IndexKey, **changes: object) -> IndexFacts:
    keys = tuple(key(each) if isinstance(each, str) else each for each in columns or ("a",))
    name = str(changes.get("name", f"i{oid}"))
    unique = "UNIQUE " if changes.get("is_unique") else ""
    columns_text = ", ".join(each.definition for each in keys)
    plain = IndexFacts(
        oid=oid,
        schema="public",
        table="t",
        table_oid=1,
        name=name,
        access_method="btree",
        definition=f"CREATE {unique}INDEX {name} ON public.t USING btree ({columns_text})",
        size_bytes=10 * MIB,
        tuples=1e5,
        relfilenode=oid,
        fillfactor=90,
        deduplicates=True,
        keys=keys,
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


def verdicts(
    *facts: IndexFacts, usage=None, bloat=None, building=frozenset()
) -> dict[int, tuple[Verdict, ...]]:
    windows = {each.oid: IN_USE for each in facts} | (usage or {})
    judged = judge(facts, windows, bloat or {}, SETTINGS, NOW, building=building)
    return {each.oid: each.verdicts for each in judged}


def kinds(*facts: IndexFacts, **more) -> dict[int, list[str]]:
    return {oid: [str(each.kind) for each in found] for oid, found in verdicts(*facts, **more).items()}


def notes(*facts: IndexFacts, usage) -> tuple[str, ...]:
    return tuple(note for each in judge(facts, usage, {}, SETTINGS, NOW) for note in each.notes)


def test_of_two_equal_indexes_the_newer_is_proposed_with_ddl_and_inverse():
    found = verdicts(index(10, "a", "b"), index(20, "a", "b"))
    assert found[10] == ()
    (verdict,) = found[20]
    assert verdict.kind is VerdictKind.DUPLICATE
    assert verdict.covered_by == "public.i10"
    assert verdict.ddl == 'DROP INDEX CONCURRENTLY "public"."i20"'
    assert verdict.inverse_ddl == "CREATE INDEX CONCURRENTLY i20 ON public.t USING btree (a, b)"


def test_a_prefix_is_redundant_and_not_duplicate():
    assert kinds(index(10, "a"), index(20, "a", "b")) == {10: ["redundant"], 20: []}


def test_a_chain_of_prefixes_names_the_longest_as_keeper():
    found = verdicts(index(10, "a"), index(20, "a", "b"), index(30, "a", "b", "c"))
    assert [found[oid][0].covered_by for oid in (10, 20)] == ["public.i30", "public.i30"]


def test_an_index_beside_the_primary_key_is_the_duplicate_whatever_its_age():
    primary = index(20, "a", is_primary=True, is_unique=True, constraint="t_pkey")
    assert kinds(index(10, "a"), primary) == {10: ["duplicate"], 20: []}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (index(10, "a"), index(20, "b")),
        (index(10, "b"), index(20, "a", "b")),
        (index(10, "a"), index(20, key("a", options=3))),
        (index(10, "a"), index(20, key("a", opclass=4000))),
        (index(10, "a"), index(20, "a", predicate="(b > 0)")),
        (index(10, "a"), index(20, "a", access_method="hash")),
        (index(10, "a"), index(20, "a", table_oid=2)),
        (index(10, "a", included=("z",)), index(20, "a", "b")),
        (index(10, "a", is_unique=True), index(20, "a", "b", is_unique=True)),
        (index(10, "a", is_unique=True, nulls_not_distinct=True), index(20, "a", "b", is_unique=True)),
        (index(10, "a", access_method="gist"), index(20, "a", "b", access_method="gist")),
    ],
)
def test_these_pairs_do_not_cover_each_other(first: IndexFacts, second: IndexFacts):
    assert kinds(first, second) == {10: [], 20: []}


def test_a_unique_index_is_not_covered_by_a_deferrable_constraint_nor_by_other_nulls():
    deferrable = index(10, "a", is_unique=True, is_immediate=False, constraint="u")
    distinct = index(30, "a", is_unique=True)
    same = index(40, "a", is_unique=True, nulls_not_distinct=True)
    assert kinds(deferrable, distinct, same) == {10: [], 30: [], 40: []}


def test_of_two_equal_unique_indexes_the_newer_goes():
    assert kinds(index(10, "a", is_unique=True), index(20, "a", is_unique=True)) == {
        10: [],
        20: ["duplicate"],
    }


def test_gin_with_other_operator_class_parameters_is_no_duplicate():
    first = index(10, access_method="gist", definition="CREATE INDEX i10 ON t USING gist (a o (siglen='8'))")
    second = index(
        20, access_method="gist", definition="CREATE INDEX i20 ON t USING gist (a o (siglen='64'))"
    )
    third = replace(second, oid=30, definition="CREATE INDEX i30 ON t USING gist (a o (siglen='64'))")
    assert kinds(first, second, third) == {10: [], 20: [], 30: ["duplicate"]}


def test_included_columns_are_covered_by_keys_and_by_included_columns():
    assert kinds(index(10, "a", included=("b",)), index(20, "a", "b")) == {10: ["redundant"], 20: []}
    wider = index(20, "a", included=("b", "c"))
    assert kinds(index(10, "a", included=("b",)), wider) == {10: ["redundant"], 20: []}


def test_unused_needs_a_whole_window_without_a_scan():
    young = replace(IDLE, days=SETTINGS.usage_window_days - 1)
    assert kinds(index(10), usage={10: IDLE}) == {10: ["unused"]}
    assert kinds(index(10), usage={10: young}) == {10: []}
    never = IndexUsage(0, 0, 0, 0, 0)
    assert "too young" in notes(index(10, usage=never), usage={10: young})[0]
    assert "too young" in notes(index(10, usage=never), usage={})[0]


def test_what_was_scanned_before_the_window_or_is_protected_is_not_waited_for():
    never = IndexUsage(0, 0, 0, 0, 0)
    assert notes(index(10), usage={}) == ()
    assert notes(index(10, usage=never, is_unique=True), usage={}) == ()


def test_unused_is_not_said_of_a_table_that_nobody_reads():
    assert "nobody read its table" in notes(index(10), usage={10: replace(IDLE, table_scans=0)})[0]


def test_a_scan_that_the_server_dates_within_the_window_counts():
    def scanned(days_ago: int) -> IndexFacts:
        return index(10, usage=IndexUsage(1, 1, 1, 1, 1, last_scan_at=NOW - timedelta(days=days_ago)))

    assert IDLE.days == 60
    assert kinds(scanned(3), usage={10: IDLE}) == {10: []}
    assert kinds(scanned(59), usage={10: IDLE}) == {10: []}
    assert kinds(scanned(61), usage={10: IDLE}) == {10: ["unused"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"is_primary": True},
        {"constraint": "u"},
        {"is_exclusion": True},
        {"is_replica_identity": True},
        {"is_clustered": True},
        {"referenced_by_foreign_key": True},
        {"parent_oid": 99},
        {"is_unique": True},
        {"supports_foreign_key": "t_fk"},
    ],
)
def test_what_is_needed_otherwise_is_not_proposed_as_unused(changes: dict[str, object]):
    assert kinds(index(10, **changes), usage={10: IDLE}) == {10: []}
    assert "not proposed" in notes(index(10, **changes), usage={10: IDLE})[0]


def test_the_keeper_of_a_duplicate_is_not_proposed_as_unused_too():
    found = kinds(index(10), index(20), usage={10: IDLE})
    assert found == {10: [], 20: ["duplicate"]}
    assert "serves the scans" in notes(index(10), index(20), usage={10: IDLE, 20: IN_USE})[0]


def test_a_partitioned_index_is_unused_when_no_partition_of_it_was_scanned():
    parent = index(
        10, is_partitioned=True, size_bytes=0, definition="CREATE INDEX i10 ON ONLY public.t USING btree (a)"
    )
    never = IndexUsage(0, 0, 0, 0, 0)
    leaves = [
        index(11, parent_oid=10, table_oid=11),
        index(12, parent_oid=10, table_oid=12, usage=never),
    ]
    new_leaf = replace(IDLE, days=2)
    reset_leaf = replace(IDLE, days=2, was_reset=True)
    (verdict,) = verdicts(parent, *leaves, usage={10: IDLE, 11: IDLE, 12: new_leaf})[10]
    assert verdict.kind is VerdictKind.UNUSED
    assert verdict.ddl == 'DROP INDEX "public"."i10"'
    assert verdict.inverse_ddl == "CREATE INDEX i10 ON public.t USING btree (a)"
    assert "20.0 MiB" in verdict.reason
    assert "locks the table" in verdict.reason
    assert kinds(parent, *leaves, usage={10: IDLE, 11: IDLE, 12: reset_leaf})[10] == []
    assert kinds(parent, *leaves, usage={10: IDLE, 11: IDLE, 12: IN_USE})[10] == []
    scanned_before_its_first_snapshot = replace(leaves[1], usage=IndexUsage(1, 1, 1, 1, 1))
    found = kinds(
        parent, leaves[0], scanned_before_its_first_snapshot, usage={10: IDLE, 11: IDLE, 12: new_leaf}
    )
    assert found[10] == []


def test_dropping_an_expression_index_warns_of_its_statistics():
    (verdict,) = verdicts(index(10, key("lower(a)", attnum=0)), usage={10: IDLE})[10]
    assert "statistics on its expression" in verdict.reason


def test_inefficient_by_block_hits_with_the_thresholds_of_the_seed():
    cold, empty = replace(IN_USE, blocks_hit=900, blocks_read=1001), {"size_bytes": 0}
    assert kinds(index(10, **empty), usage={10: cold}) == {10: ["inefficient"]}
    assert kinds(index(10, **empty), usage={10: replace(cold, blocks_read=1000)}) == {10: []}
    assert kinds(index(10, **empty), usage={10: replace(cold, blocks_hit=1001)}) == {10: []}
    assert kinds(index(10, **empty), usage={10: replace(cold, scans=0)}) == {10: ["unused"]}


def test_our_own_reading_makes_no_index_inefficient():
    ours = 61 * 4 * 10 * MIB // 8192
    cold = replace(IN_USE, blocks_hit=900, blocks_read=ours + 1000)
    assert kinds(index(10), usage={10: cold}) == {10: []}
    assert kinds(index(10), usage={10: replace(cold, blocks_read=ours + 1001)}) == {10: ["inefficient"]}


def test_less_than_a_day_of_history_is_no_sample():
    cold = replace(IN_USE, days=0.9, blocks_hit=0, blocks_read=100_000)
    assert kinds(index(10), usage={10: cold}) == {10: []}


def test_without_history_the_counters_since_the_reset_judge_efficiency():
    judged = judge([index(10, usage=IndexUsage(9, 90, 90, 10, 9000))], {}, {}, SETTINGS, NOW)
    assert [each.kind for each in judged[0].verdicts] == [VerdictKind.INEFFICIENT]


def test_a_key_of_few_values_is_inefficient_when_scans_return_much_of_the_table():
    few = key("a", n_distinct=3)
    much = replace(IN_USE, scans=10, tuples_read=333_000)
    assert kinds(index(10, few), usage={10: much}) == {10: ["inefficient"]}
    assert kinds(index(10, few), usage={10: replace(much, tuples_read=100)}) == {10: []}
    assert kinds(index(10, key("a", n_distinct=-1)), usage={10: much}) == {10: []}


def test_an_invalid_index_gets_ddl_that_fits_and_no_other_verdict():
    left = index(10, name="i_ccnew", is_valid=False, is_ready=False)
    failed = index(20, is_valid=False)
    found = verdicts(left, failed, usage={10: IDLE, 20: IDLE})
    assert found[10][0].ddl == 'DROP INDEX CONCURRENTLY "public"."i_ccnew"'
    # Whose it is, its name cannot tell.
    assert found[10][0].reason.startswith("named as an interrupted REINDEX CONCURRENTLY leaves its copy")
    assert found[20][0].ddl == 'REINDEX INDEX CONCURRENTLY "public"."i20"'
    assert [len(each) for each in found.values()] == [1, 1]


def test_an_index_that_is_being_built_is_not_judged():
    assert kinds(index(10, is_valid=False), index(20), building=frozenset({10})) == {10: [], 20: []}


def test_bloated_above_the_threshold_and_the_minimum_size():
    facts = [index(10), index(20, "b"), index(30, "c", size_bytes=SETTINGS.min_size_bytes - 1)]
    bloat = {10: estimate(0.3), 20: estimate(0.1), 30: estimate(0.9)}
    assert kinds(*facts, bloat=bloat) == {10: ["bloated"], 20: [], 30: []}
    assert verdicts(*facts, bloat=bloat)[10][0].ddl == reindex_statement(facts[0])


def estimate(ratio: float) -> BloatEstimate:
    return BloatEstimate(
        ratio=ratio, bloat_bytes=int(ratio * 10 * MIB), method="pgstatindex", error_bound=0.02, confirmed=True
    )


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (
            'CREATE UNIQUE INDEX "odd "" ON ONLY x" ON public.t USING btree (a)',
            'CREATE UNIQUE INDEX CONCURRENTLY "odd "" ON ONLY x" ON public.t USING btree (a)',
        ),
        ("CREATE INDEX i ON s.t USING gin (a)", "CREATE INDEX CONCURRENTLY i ON s.t USING gin (a)"),
    ],
)
def test_the_inverse_is_the_definition_made_concurrent(definition: str, expected: str):
    assert create_statement(index(10, definition=definition)) == expected


def test_names_are_quoted():
    assert drop_statement(index(10, name='a"b')) == 'DROP INDEX CONCURRENTLY "public"."a""b"'
    with pytest.raises(ValueError, match="not an index definition"):
        create_statement(index(10, definition="DROP TABLE t"))


some_index = st.builds(
    lambda oid, columns, options, included, **flags: index(
        oid,
        *(key(name, options=option) for name, option in zip(columns, options, strict=False)),
        included=tuple(sorted(included - set(columns))),
        **flags,
    ),
    oid=st.integers(10, 10_000),
    columns=st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
    options=st.lists(st.sampled_from([0, 0, 0, 3]), min_size=3, max_size=3),
    included=st.frozensets(st.sampled_from("cd"), max_size=2),
    access_method=st.sampled_from(["btree", "btree", "btree", "gist"]),
    predicate=st.sampled_from([None, None, "(a > 0)"]),
    is_unique=st.booleans(),
    is_immediate=st.booleans(),
    nulls_not_distinct=st.booleans(),
    is_valid=st.sampled_from([True, True, True, False]),
    is_replica_identity=st.sampled_from([False, False, False, True]),
    is_clustered=st.sampled_from([False, False, False, True]),
    constraint=st.sampled_from([None, None, "u"]),
    table_oid=st.sampled_from([1, 1, 1, 2]),
)
tables = st.lists(some_index, max_size=12, unique_by=lambda each: each.oid)


@given(tables)
def test_dropping_every_victim_leaves_each_index_covered(facts: list[IndexFacts]):
    overlaps = find_overlaps(facts)
    victims = {each.victim.oid for each in overlaps}
    assert len(victims) == len(overlaps)
    for overlap in overlaps:
        assert overlap.keeper.oid not in victims
        assert covers(overlap.keeper, overlap.victim)
        assert protection(overlap.victim) is None


@given(tables)
def test_no_droppable_index_that_another_covers_is_overlooked(facts: list[IndexFacts]):
    victims = {each.victim.oid for each in find_overlaps(facts)}
    staying = [each for each in facts if each.oid not in victims and each.is_valid]
    for each in staying:
        if protection(each) is None:
            assert not [other.oid for other in staying if other.oid != each.oid and covers(other, each)]


@given(tables, st.randoms())
def test_the_order_of_the_facts_does_not_matter(facts: list[IndexFacts], random):
    shuffled = list(facts)
    random.shuffle(shuffled)
    assert find_overlaps(shuffled) == find_overlaps(facts)


@given(tables, st.data())
def test_every_scan_that_was_seen_still_has_an_index_after_all_drops(facts: list[IndexFacts], data):
    usage = {each.oid: data.draw(st.sampled_from([IN_USE, IDLE])) for each in facts}
    judged = judge(facts, usage, {}, SETTINGS, NOW)
    dropped = {
        each.oid
        for each in judged
        if any(found.ddl and found.ddl.startswith("DROP") for found in each.verdicts)
    }
    for each in facts:
        if each.is_valid and usage[each.oid].scans:
            assert any(
                other.oid not in dropped and (other.oid == each.oid or covers(other, each)) for other in facts
            )
        if each.is_valid and each.oid in dropped:
            assert protection(each) is None
