"""Bloat in three tiers, on facts and page counts that real servers gave."""

from dataclasses import replace
from itertools import product

import pytest

from herald_pipelines.database.indexes.bloat import (
    Baseline,
    bloat_from_baseline,
    estimate_bloat,
    needs_confirmation,
)
from herald_pipelines.database.indexes.btree_build import internal_pages, leaf_fill, leaf_items
from herald_pipelines.database.indexes.confirmation import IndexPages, confirm_bloat
from herald_pipelines.database.indexes.duplicates import (
    KeyStatistics,
    column_cells,
    combine,
    merged_bytes,
    merged_limits,
    sample_groups,
)
from herald_pipelines.database.indexes.facts import IndexFacts, IndexKey, IndexUsage

PAGE = 8192


def key(type_name: str = "int4", **statistics: float) -> IndexKey:
    noted = {"average_width": 4.0, "null_fraction": 0.0, "n_distinct": -1.0, **statistics}
    return IndexKey("k", 1, type_name, 1978, 0, 0, **noted)


def index(size_bytes: int, tuples: float | None = 200_000, **changes: object) -> IndexFacts:
    plain = IndexFacts(
        oid=1,
        schema="public",
        table="t",
        table_oid=2,
        name="i",
        access_method="btree",
        definition="CREATE INDEX i ON public.t USING btree (k)",
        size_bytes=size_bytes,
        tuples=tuples,
        relfilenode=10,
        fillfactor=90,
        deduplicates=True,
        keys=(key(),),
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
        table_tuples=tuples,
        table_bytes=10_000_000,
        table_writes=0,
        table_scans=0,
        usage=IndexUsage(0, 0, 0, 0, 0),
    )
    return replace(plain, **changes)


def pages(size_bytes: int, leaf_pages: int, items: int, item_bytes: int, **changes: object) -> IndexPages:
    plain = IndexPages(
        size_bytes=size_bytes,
        internal_pages=3,
        leaf_pages=leaf_pages,
        leaf_density=90.0,
        leaf_fragmentation=0.0,
        items=items,
        item_bytes=item_bytes,
        live_rows=0,
        dead_rows=0,
    )
    return replace(plain, **changes)


# Rows, fillfactor, size of an item, and the sizes that CREATE INDEX gave on PostgreSQL 15 and 18.
@pytest.mark.parametrize(
    ("rows", "fillfactor", "item", "leaves", "inner"),
    [
        (200_000, 90, 16, 547, 3),
        (1_000_000, 90, 16, 2733, 11),
        (200_000, 70, 16, 705, 4),
        (140_349, 100, 16, 346, 3),
        (200_000, 90, 24, 767, 5),
        (10_000, 90, 1936, 3333, 1667),
    ],
)
def test_a_build_is_laid_out_to_the_page(
    rows: int, fillfactor: int, item: int, leaves: int, inner: int
) -> None:
    per_page = leaf_items(item, fillfactor, is_fixed=True)
    assert -(-(rows - 1) // int(per_page)) == leaves
    if rows < 1_000_000:
        assert internal_pages(leaves, item) == inner


def test_posting_lists_of_ten_values_are_laid_out_to_the_page() -> None:
    cells = column_cells(KeyStatistics(0.0, 10.0, (0.1,) * 10), 200_000)
    fill, inside = leaf_fill(sample_groups(cells, 200_000, 16), 16, 90)
    assert merged_bytes(cells, 200_000, 16) / fill == pytest.approx(169, abs=0.5)  # 169 on the server
    assert inside > 0.9


@pytest.mark.parametrize("fillfactor", [90, 70])
def test_a_fresh_index_is_not_bloated(fillfactor: int) -> None:
    leaves = 547 if fillfactor == 90 else 705
    size = PAGE * (1 + leaves + (3 if fillfactor == 90 else 4))
    facts = index(size, fillfactor=fillfactor)
    counted = pages(size, leaves, 200_000, 3_200_000, leaf_density=fillfactor)
    assert confirm_bloat(facts, counted, [KeyStatistics(0.0, -1.0)]).ratio == 0
    assert estimate_bloat(facts).ratio == 0


def test_half_of_the_rows_deleted_is_half_of_the_index() -> None:
    size = PAGE * 551
    facts = index(size, 100_428)
    counted = pages(size, 547, 100_428, 1_606_848, leaf_density=45.29)
    estimate = confirm_bloat(facts, counted, [KeyStatistics(0.0, -1.0)])
    assert estimate.ratio == pytest.approx(0.4973, abs=0.0001)  # what REINDEX gave
    assert estimate.bloat_bytes == round(estimate.ratio * size)
    assert estimate.confirmed
    assert estimate.method == "pgstatindex"


def test_deleted_pages_of_a_queue_are_bloat() -> None:
    size = PAGE * 551
    counted = pages(size, 28, 10_000, 160_000, leaf_density=87.86)
    assert confirm_bloat(index(size, 10_000), counted, []).ratio == pytest.approx(0.9456, abs=0.001)


def test_equal_keys_that_a_rebuild_merges_are_bloat() -> None:
    # Twenty rows a value, inserted at random: 29 % was given back, 10 % by the density of the leaves alone.
    size = 2_269_184
    facts = index(size, keys=(key(n_distinct=9909.0),))
    counted = pages(
        size, 275, 43_000, 1_640_000, internal_pages=1, leaf_density=80.82, leaf_fragmentation=49.8
    )
    estimate = confirm_bloat(facts, counted, [KeyStatistics(0.0, 9909.0)])
    assert estimate.ratio == pytest.approx(0.2924, abs=0.01)
    blind = confirm_bloat(facts, counted, [])
    assert blind.ratio < estimate.ratio
    assert blind.error_bound > 0.15


def test_a_unique_index_has_nothing_to_merge() -> None:
    size = PAGE * 551
    facts = index(size, is_unique=True, keys=(key(n_distinct=10.0),))
    assert confirm_bloat(facts, pages(size, 547, 200_000, 3_200_000), [KeyStatistics(0.0, 10.0)]).ratio == 0


def test_dead_rows_are_taken_off_only_when_all_counts_agree() -> None:
    size = PAGE * 551
    facts = index(size, is_unique=True)
    counted = pages(size, 547, 200_000, 3_200_000, live_rows=140_000, dead_rows=60_000)
    estimate = confirm_bloat(facts, counted, [])
    assert estimate.ratio == pytest.approx(0.3, abs=0.01)
    assert estimate.error_bound > 0.3
    # Statistics that began anew after a crash know few rows, and no dead ones.
    lost = replace(counted, live_rows=500, dead_rows=0)
    assert confirm_bloat(facts, lost, []).ratio == 0


@pytest.mark.parametrize(
    ("items", "item_bytes", "leaves"), [(200_000, 3_200_000, 547), (1_600, 1_210_000, 169)]
)
def test_rows_that_were_never_counted_are_not_missing(items: int, item_bytes: int, leaves: int) -> None:
    # Loaded tenfold since the last ANALYZE, and the statistics were lost with a crash.
    size = PAGE * (leaves + 3)
    facts = index(size, 20_000, keys=(key(n_distinct=10.0 if items < 20_000 else -1.0),))
    statistics = [KeyStatistics(0.0, facts.keys[0].n_distinct or 0, (0.1,) * 10 if items < 20_000 else ())]
    estimate = confirm_bloat(facts, pages(size, leaves, items, item_bytes), statistics)
    assert estimate.ratio < 0.05
    assert estimate.error_bound > 0.1


def test_an_emptied_index_is_all_bloat() -> None:
    counted = pages(PAGE * 551, 0, 0, 0, leaf_density=0)
    assert confirm_bloat(index(PAGE * 551, 0), counted, []).ratio > 0.99


def test_a_rebuild_that_would_grow_an_index_is_no_negative_bloat() -> None:
    facts = index(PAGE * 100)
    assert confirm_bloat(facts, pages(PAGE * 100, 97, 200_000, 3_200_000), []).ratio == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"access_method": "gin"},
        {"tuples": None},
        {"keys": (key("text", average_width=None),)},
        {"keys": (key(n_distinct=None),)},
        {"included": ("x",)},
        {"size_bytes": 0},
    ],
)
def test_nothing_is_estimated_from_nothing(changes: dict[str, object]) -> None:
    assert estimate_bloat(replace(index(PAGE * 551), **changes)) is None


def test_a_baseline_measures_any_access_method() -> None:
    baseline = Baseline(relfilenode=10, size_bytes=1_000_000, tuples=100_000)
    facts = index(2_000_000, 100_000, access_method="gin")
    assert bloat_from_baseline(facts, baseline).ratio == pytest.approx(0.5)
    assert bloat_from_baseline(replace(facts, relfilenode=11), baseline) is None
    assert bloat_from_baseline(replace(facts, tuples=None), baseline) is None
    assert bloat_from_baseline(facts, None) is None


def test_rows_that_were_loaded_since_the_last_count_are_no_bloat() -> None:
    baseline = Baseline(relfilenode=10, size_bytes=1_000_000, tuples=100_000)
    facts = index(10_000_000, 100_000, access_method="gist")
    assert bloat_from_baseline(facts, baseline).ratio == pytest.approx(0.9)
    by_statistics = bloat_from_baseline(replace(facts, live_rows=1_000_000), baseline)
    by_pages = bloat_from_baseline(replace(facts, table_growth=10.0), baseline)
    assert by_statistics.ratio == by_pages.ratio == 0
    assert by_statistics.error_bound == by_pages.error_bound >= 0.9
    # Fewer rows than were counted are still in the index.
    assert bloat_from_baseline(replace(facts, live_rows=100), baseline).ratio == pytest.approx(0.9)
    counted_empty = replace(facts, tuples=0.0, table_tuples=0.0)
    assert bloat_from_baseline(counted_empty, baseline).ratio > 0.99
    assert bloat_from_baseline(replace(counted_empty, table_growth=2.0), baseline) is None
    # A b-tree of which that is not known is read.
    loaded = index(PAGE * 5510, table_growth=10.0, is_unique=True)
    assert estimate_bloat(loaded).ratio < 0.01
    assert needs_confirmation(loaded, None, 0.2, 0)
    dead = replace(loaded, live_rows=200_000, dead_rows=1_800_000)
    assert needs_confirmation(dead, Baseline(10, PAGE * 551, 200_000), 0.2, 0)


def test_rows_that_are_dead_widen_the_bound_and_are_not_screened_for() -> None:
    facts = index(PAGE * 551, is_unique=True, live_rows=140_000, dead_rows=60_000)
    assert estimate_bloat(facts).error_bound == pytest.approx(0.35, abs=0.01)
    assert bloat_from_baseline(facts, Baseline(10, PAGE * 551, 200_000)).error_bound > 0.3
    assert not needs_confirmation(facts, None, 0.2, 0)
    assert not needs_confirmation(facts, Baseline(10, PAGE * 551, 200_000), 0.2, 0)


def test_sizes_that_vary_are_not_known_to_the_byte() -> None:
    # Eight bytes a row or nine: items of 16 or of 24.
    short, long = (
        index(PAGE * 700, keys=(key("numeric", average_width=width),), deduplicates=False) for width in (8, 9)
    )
    assert estimate_bloat(short).error_bound > 0.2
    assert estimate_bloat(short).ratio - estimate_bloat(long).ratio < estimate_bloat(short).error_bound
    compressible = index(PAGE * 700, keys=(key("text", average_width=900),))
    assert estimate_bloat(compressible).error_bound == 1


@pytest.mark.parametrize(("each", "bytes_a_row"), [(1, 20), (2, 18), (4, 11), (20, 7)])
def test_rows_spread_evenly_are_between_the_limits(each: int, bytes_a_row: float) -> None:
    rows = 200_000
    fewest, most = merged_limits(KeyStatistics(0.0, -1 / each), rows, rows, 16)
    assert fewest / rows <= bytes_a_row <= most / rows
    assert most < 1.1 * fewest


def test_screening_spares_what_is_surely_dense() -> None:
    size, sure = PAGE * 551, 100_000
    dense = index(size, is_unique=True)
    assert not needs_confirmation(dense, None, 0.2, sure)
    assert needs_confirmation(dense, None, 0.04, sure)
    assert needs_confirmation(replace(dense, tuples=150_000), None, 0.2, sure)
    assert not needs_confirmation(replace(dense, tuples=150_000), None, 0.2, size + 1)
    assert needs_confirmation(replace(dense, keys=(key("text", average_width=None),)), None, 0.2, sure)
    assert needs_confirmation(replace(dense, tuples=None), None, 0.2, sure)
    baseline = Baseline(10, size, 200_000)
    assert not needs_confirmation(dense, baseline, 0.2, sure)
    assert needs_confirmation(replace(dense, size_bytes=2 * size), baseline, 0.2, sure)


@pytest.mark.parametrize(
    "changes", [{"access_method": "hash"}, {"is_valid": False}, {"is_partitioned": True}]
)
def test_screening_leaves_out_what_cannot_be_read(changes: dict[str, object]) -> None:
    assert not needs_confirmation(index(10**9, 1, **changes), None, 0.2, 0)


@pytest.mark.parametrize(("target", "rows"), [*product([10, 100], [5_000, 1_000_000])])
def test_probabilities_of_a_column_add_up(target: int, rows: int) -> None:
    common = tuple(0.3 / (rank + 1) for rank in range(target))
    total = sum(common)
    statistics = KeyStatistics(0.2, rows / 20, tuple(0.5 * each / total for each in common), target)
    cells = column_cells(statistics, rows)
    assert sum(cell.count * cell.probability for cell in cells) == pytest.approx(1)
    both = combine([cells, column_cells(KeyStatistics(0.0, -0.5), rows)])
    assert sum(cell.count * cell.probability for cell in both) == pytest.approx(1)


def test_the_estimator_of_analyze_is_undone() -> None:
    # 66,667 values at random over 200,000 rows; ANALYZE noted 52,443, of 63,347 that there were.
    cells = column_cells(KeyStatistics(0.0, -0.262215), 200_000)
    assert cells[0].count == pytest.approx(66_667, rel=0.02)


def test_a_full_list_of_common_values_goes_on_falling() -> None:
    # 1 / rank, cut at 200,000 values: ANALYZE sees 16,300 of 82,000 in its sample's way.
    weights = [1 / rank for rank in range(1, 101)]
    whole = 12.78
    cells = column_cells(KeyStatistics(0.0, 16_300.0, tuple(weight / whole for weight in weights)), 200_000)
    tail = cells[100:]
    assert tail[0].probability > 20 * tail[-1].probability
    assert merged_bytes(cells, 200_000, 16) / 200_000 == pytest.approx(10.25, rel=0.03)
