"""Pure: how much of an index a rebuild would give back, in three tiers.

    baseline      the size per row against what it was right after the last rebuild; any access method
    estimate      the size of a b-tree against what a build would make by the catalog's statistics
    pgstatindex   the pages of a b-tree, counted by pgstattuple, against what a build would make of its items

The first two screen every index, the third confirms what they flag. Each carries the largest error to expect,
which benchmarks/index_bloat_accuracy.py measures, and is silent where it knows nothing. Waste is what VACUUM
has freed: rows that are dead and not yet vacuumed are not screened for. Not here: reading (store.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from herald_pipelines.database.indexes.btree_build import (
    LEAF_SPACE,
    LINE_POINTER,
    PAGE_BYTES,
    TID_BYTES,
    ItemSize,
    internal_pages,
    item_size,
    leaf_bytes,
    leaf_fill,
    leaf_items,
)
from herald_pipelines.database.indexes.duplicates import (
    Cell,
    KeyStatistics,
    column_cells,
    combine,
    merged_bytes,
    repeated_groups,
    sample_groups,
)
from herald_pipelines.database.indexes.facts import IndexFacts

BTREE = "btree"
DEAD_SHARE_SEEN = 0.02
"""Fewer dead rows than this do not correct a measurement: the statistics are not that exact."""
SAME_WITHIN = 0.03
"""The model of duplicates is that good, so that a smaller difference says nothing about an index."""
SAMPLE_TELLS_ROWS = 1e8
"""Rows up to which a sample of 30,000 holds some row twice when every value has two."""
LONG_LISTS = 6.7
"""Bytes a row in posting lists of some thirty rows."""
MOSTLY_WITHIN = 1.25
"""Bytes by which what the pages tell of an item's size is off, for not knowing how many posting lists there are."""
COMPRESSIBLE_BYTES = 400
"""Keys of about this size may be compressed in the index (TOAST_INDEX_TARGET): their width is not known."""
POSTING_OVERHEAD = 9
"""Bytes of a posting list beside its key and 6 for each row but the first: 6 for that one, and alignment."""


@dataclass(frozen=True)
class BloatEstimate:
    """How much of an index a rebuild would give back."""

    ratio: float
    """Share of the index, 0 to 1; 0 also where a rebuild would make it a little larger."""
    bloat_bytes: int
    method: str
    """baseline, estimate or pgstatindex."""
    error_bound: float
    """The largest error to expect of the ratio, as a share of the index."""
    confirmed: bool
    """Whether the pages themselves were read."""


@dataclass(frozen=True)
class Baseline:
    """What an index measured right after a rebuild."""

    relfilenode: int
    """The life of the index that was measured."""
    size_bytes: int
    tuples: float


@dataclass(frozen=True)
class IndexPages:
    """What pgstatindex and pgstattuple count in a b-tree."""

    size_bytes: int
    internal_pages: int
    leaf_pages: int
    leaf_density: float
    """Percent of the leaf pages' space that is used; 0 without leaf pages."""
    leaf_fragmentation: float
    """Percent of the leaf pages that lie behind their successor: pages were split since the build."""
    items: int
    """Leaf items that are not marked dead; a posting list counts once."""
    item_bytes: int
    """Their sizes, without line pointers."""
    live_rows: float
    """Rows of the table by the cumulative statistics, which count since the last VACUUM; 0 = unknown."""
    dead_rows: float


def bloat_from_baseline(index: IndexFacts, baseline: Baseline | None) -> BloatEstimate | None:
    """Compare the size per row with the baseline's.

    None when the rows were never counted, or the baseline is of an earlier life of the index.
    """
    if baseline is None or baseline.relfilenode != index.relfilenode or not baseline.size_bytes:
        return None
    if index.tuples is None or not index.size_bytes:
        return None
    per_row = baseline.size_bytes / max(baseline.tuples, 1)
    expected = max(per_row * max(index.tuples, 1), 2 * PAGE_BYTES)
    bound = 0.03
    if not _is_of_one_size(index):
        # Widths drift, and the more rows share a key, the less each takes: half a point a percent of growth.
        growth = abs(math.log(max(index.tuples, 1) / max(baseline.tuples, 1)))
        bound = min(1.0, 0.10 + 0.5 * growth)
    return _estimate(index.size_bytes, expected, "baseline", bound)


def estimate_bloat(index: IndexFacts) -> BloatEstimate | None:
    """Compare the size with what a build would make by the catalog's statistics.

    None for other access methods, when the rows were never counted, and where a key has no statistics that
    the role may see.
    """
    item = item_size(index)
    if index.access_method != BTREE or item is None or index.tuples is None or not index.size_bytes:
        return None
    if not _may_merge(index) or _is_all_different(index):
        expected = _plain_size(index, index.tuples, item, item.size)
        return _estimate(index.size_bytes, expected, "estimate", 0.05 if item.is_fixed else 0.15)
    statistics = [
        KeyStatistics(key.null_fraction, key.n_distinct)
        for key in index.keys
        if key.null_fraction is not None and key.n_distinct is not None
    ]
    cells = _cells(index, statistics)
    if cells is None:
        return None
    # Filling pages one by one is for a confirmation; here it would take most of the time.
    fill = leaf_bytes(item.size, index.fillfactor)
    expected = _size(merged_bytes(cells, index.tuples, item.size) / fill, item.size)
    bound = 0.40 if len(index.keys) == 1 and item.is_fixed else 0.80
    return _estimate(index.size_bytes, expected, "estimate", bound)


def needs_confirmation(
    index: IndexFacts, baseline: Baseline | None, threshold: float, min_size_bytes: int
) -> bool:
    """Return whether to read the pages of an index: whether it may be bloated over the threshold."""
    if not can_be_confirmed(index) or index.size_bytes < min_size_bytes:
        return False
    estimate = bloat_from_baseline(index, baseline)
    if estimate is not None:
        return estimate.ratio + estimate.error_bound > threshold
    margin = _may_be_more(index)
    if margin > threshold:
        return True
    estimate = estimate_bloat(index)
    return estimate is None or estimate.ratio + margin > threshold


def _may_be_more(index: IndexFacts) -> float:
    """Return by how much more an index may be bloated than its estimate says.

    Less than the estimate's error, which is mostly on the other side: ANALYZE notes too few distinct values.
    """
    item = item_size(index)
    if item is None or (not item.is_fixed and item.size > COMPRESSIBLE_BYTES):
        return 1.0
    if _may_merge(index) and len(index.keys) > 1 and not _is_all_different(index):
        return 0.35
    return 0.05 if item.is_fixed else 0.15


def can_be_confirmed(index: IndexFacts) -> bool:
    """Return whether pgstatindex reads such an index: a valid b-tree that has pages of its own."""
    return (
        index.access_method == BTREE and index.is_valid and not index.is_partitioned and index.size_bytes > 0
    )


def confirm_bloat(index: IndexFacts, pages: IndexPages, statistics: Sequence[KeyStatistics]) -> BloatEstimate:
    """Compare the pages with the ones that a build would make of the same items.

    Args:
        index: its facts.
        pages: what was counted.
        statistics: of its keys, in their order; fewer than keys where the role may not see them.
    """
    if not pages.items:
        return _estimate(pages.size_bytes, PAGE_BYTES, "pgstatindex", 0.01)
    average = pages.item_bytes / pages.items
    # Sizes are multiples of 8: an average that is one, too, is everybody's size.
    item = ItemSize(average, math.isclose(average, 8 * round(average / 8), abs_tol=0.01))
    pivot = _pivot_size(pages, average)
    if not _may_merge(index):
        dead = _dead_share(index, pages)
        expected = _plain_size(index, pages.items * (1 - dead), item, pivot)
        return _estimate(pages.size_bytes, expected, "pgstatindex", 0.02 + dead)
    cells = _cells(index, statistics)
    rows = _rows_now(index, pages)
    if rows is not None and not _may_hold(index, pages, rows):
        rows = None
    if cells is None or rows is None:
        expected = _plain_size(index, pages.items, item, pivot)
        return _estimate(pages.size_bytes, expected, "pgstatindex", _unmerged_bound(pages, rows))
    return _confirm_merged(index, pages, cells, rows)


def _confirm_merged(index: IndexFacts, pages: IndexPages, cells: list[Cell], rows: float) -> BloatEstimate:
    measured = float(pages.item_bytes + LINE_POINTER * pages.items)
    single = _single_size(index, pages, cells, rows)
    merged = merged_bytes(cells, rows, single)
    fill, inside = leaf_fill(sample_groups(cells, rows, single), single, index.fillfactor)
    # Between keys that hardly ever repeat and posting lists so long that their keys do not count, it matters how evenly
    # the rows are spread: exactly two rows each take more room than one to many that are two on average.
    bound = 0.02 if not LONG_LISTS < merged / rows < single else 0.12
    if merged > measured:
        # There are more equal keys than the statistics tell: several columns depend on each other.
        bound = bound if len(index.keys) == 1 or merged < measured * (1 + SAME_WITHIN) else 0.20
        merged = measured
    elif _looks_as_built(pages, fill) and merged > measured * (1 - SAME_WITHIN):
        merged = measured
    expected = _size(merged / fill, single + 8 * inside)
    return _estimate(pages.size_bytes, expected, "pgstatindex", bound)


def _looks_as_built(pages: IndexPages, fill: float) -> bool:
    return pages.leaf_fragmentation < 1 and pages.leaf_density <= 100 * fill / LEAF_SPACE + 1


def _single_size(index: IndexFacts, pages: IndexPages, cells: list[Cell], rows: float) -> float:
    """Return the size of an item of one row; where it varies, the pages tell, for rare keys may be longer."""
    known = item_size(index)
    if known is not None and known.is_fixed:
        return known.size
    repeated = repeated_groups(cells, rows)
    told = (pages.item_bytes - TID_BYTES * (rows - pages.items) - POSTING_OVERHEAD * repeated) / pages.items
    # Sizes are multiples of 8, and an average close to one is that of items that mostly have it.
    whole = 8.0 * round(told / 8)
    return max(16.0, whole if abs(told - whole) < MOSTLY_WITHIN else told)


def _rows_now(index: IndexFacts, pages: IndexPages) -> float | None:
    """Return the rows in the index: what VACUUM or ANALYZE counted, moved on as the table's have since."""
    if index.tuples is None:
        return None
    if not pages.live_rows or not index.table_tuples:
        return index.tuples
    # Rows that are gone must have left dead ones, or the statistics began anew.
    if pages.live_rows + pages.dead_rows < 0.95 * index.table_tuples:
        return index.tuples
    return index.tuples * pages.live_rows / index.table_tuples


def _may_hold(index: IndexFacts, pages: IndexPages, rows: float) -> bool:
    """Return whether the counted rows are enough for what the pages hold; counts are lost with a crash, or are old."""
    dead = pages.dead_rows * (index.tuples or 0) / (index.table_tuples or 1)
    item = item_size(index)
    # Every item has a row, and every 6 bytes behind its key.
    listed = 0.0 if item is None else (pages.item_bytes - (item.size + 8) * pages.items) / TID_BYTES
    return rows + dead > 0.95 * max(pages.items, listed)


def _dead_share(index: IndexFacts, pages: IndexPages) -> float:
    """Return the share of items whose rows are dead and not yet vacuumed, as far as all counts agree."""
    rows = _rows_now(index, pages)
    if rows is None or not pages.live_rows:
        return 0.0
    share = min(pages.dead_rows / (pages.live_rows + pages.dead_rows), max(0.0, 1 - rows / pages.items))
    return share if share > DEAD_SHARE_SEEN else 0.0


def _unmerged_bound(pages: IndexPages, rows: float | None) -> float:
    """Return the error where nobody knows which keys a build would merge: small without posting lists."""
    if rows is not None and pages.items > 0.99 * rows:
        return 0.02
    return 0.25


def _pivot_size(pages: IndexPages, average: float) -> float:
    """Return the average size of the high keys, which is what the items leave of the used space.

    The pages above hold the same keys.
    """
    used = pages.leaf_pages * LEAF_SPACE * pages.leaf_density / 100
    keys = used - pages.item_bytes - LINE_POINTER * pages.items
    told = keys / max(pages.leaf_pages - 1, 1) - LINE_POINTER
    return min(max(16.0, told), average + 8) if pages.leaf_pages > 10 else average  # noqa: PLR2004


def _cells(index: IndexFacts, statistics: Sequence[KeyStatistics]) -> list[Cell] | None:
    """Return the distribution of the keys in the table; a partial index has a random part of it."""
    if len(statistics) < len(index.keys) or not index.table_tuples:
        return None
    columns = [column_cells(each, index.table_tuples) for each in statistics]
    return columns[0] if len(columns) == 1 else combine(columns)


def _may_merge(index: IndexFacts) -> bool:
    # A unique index has equal keys only among versions of a row, which a rebuild leaves out.
    return index.deduplicates and not index.is_unique


def _is_all_different(index: IndexFacts) -> bool:
    """Return whether ANALYZE saw no value of some key twice, in a table where its sample could not overlook them."""
    return (index.table_tuples or 0) < SAMPLE_TELLS_ROWS and any(key.n_distinct == -1 for key in index.keys)


def _is_of_one_size(index: IndexFacts) -> bool:
    item = item_size(index)
    return index.access_method == BTREE and not _may_merge(index) and item is not None and item.is_fixed


def _plain_size(index: IndexFacts, items: float, item: ItemSize, pivot: float) -> float:
    per_page = leaf_items(item.size, index.fillfactor, is_fixed=item.is_fixed)
    return _size(max(items - 1, 0) / per_page, pivot)


def _size(leaf_pages: float, pivot: float) -> float:
    """Size of the whole index; the last leaf page is begun, and there is a metapage."""
    leaves = max(1, math.ceil(leaf_pages - 1e-6))
    return float(PAGE_BYTES * (1 + leaves + internal_pages(leaves, pivot)))


def _estimate(size_bytes: int, expected: float, method: str, bound: float) -> BloatEstimate:
    bloat = max(0.0, size_bytes - expected)
    return BloatEstimate(
        ratio=bloat / size_bytes if size_bytes else 0.0,
        bloat_bytes=round(bloat),
        method=method,
        error_bound=min(1.0, bound),
        confirmed=method == "pgstatindex",
    )
