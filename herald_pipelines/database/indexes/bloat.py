"""Pure: how much of an index a rebuild would give back, in three tiers.

    baseline      the size per row against what it was right after the last rebuild; any access method
    estimate      the size of a b-tree against what a build would make by the catalog's statistics
    pgstatindex   the pages of a b-tree, counted by pgstattuple, against what a build would make of its items

The first two screen every index, the third confirms what they flag. Each carries the largest error to expect,
which benchmarks/index_bloat_accuracy.py measures, and is silent where it knows nothing. Waste is what VACUUM
has freed: rows that are dead and not yet vacuumed are not screened for. Not here: the third tier (confirmation.py),
reading (store.py).
"""

import math
from dataclasses import dataclass, replace

from herald_pipelines.database.indexes.btree_build import (
    LINE_POINTER,
    PAGE_BYTES,
    ItemSize,
    index_size,
    item_size,
    leaf_bytes,
    plain_size,
)
from herald_pipelines.database.indexes.duplicates import KeyStatistics, index_cells, merged_bytes
from herald_pipelines.database.indexes.facts import IndexFacts

BTREE = "btree"
DIFFERENT_SHARE = 0.98
"""Share of rows with a value of their own from which on merging the others saves about a point of an index at most."""
SAMPLE_TELLS_ROWS = 1e8
"""Rows up to which a sample of 30,000 holds some row twice when every value has two."""
COMPRESSIBLE_BYTES = 400
"""Keys of about this size may be compressed in the index (TOAST_INDEX_TARGET): their width is not known."""


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


def bloat_from_baseline(index: IndexFacts, baseline: Baseline | None) -> BloatEstimate | None:
    """Compare the size per row with the baseline's.

    None when the rows were never counted, or the baseline is of an earlier life of the index.
    """
    if baseline is None or baseline.relfilenode != index.relfilenode or not baseline.size_bytes:
        return None
    rows = _most_rows(index)
    if rows is None or not index.size_bytes:
        return None
    per_row = baseline.size_bytes / max(baseline.tuples, 1)
    expected = max(per_row * max(rows, 1), 2 * PAGE_BYTES)
    bound = 0.03 + 3 * PAGE_BYTES / index.size_bytes
    if not _is_of_one_size(index):
        # Widths drift, and the more rows share a key, the less each takes: half a point a percent of growth.
        growth = abs(math.log(max(rows, 1) / max(baseline.tuples, 1)))
        bound += 0.07 + 0.5 * growth
    return _screen(index, expected, "baseline", bound)


def estimate_bloat(index: IndexFacts) -> BloatEstimate | None:
    """Compare the size with what a build would make by the catalog's statistics.

    None for other access methods, when the rows were never counted, and where a key has no statistics that
    the role may see.
    """
    item, rows = item_size(index), _most_rows(index)
    if index.access_method != BTREE or item is None or rows is None or not index.size_bytes:
        return None
    if not may_merge(index) or _is_all_different(index):
        expected = plain_size(rows, item, index.fillfactor, item.size)
        return _screen(index, expected, "estimate", _width_doubt(item))
    statistics = [
        KeyStatistics(key.null_fraction, key.n_distinct)
        for key in index.keys
        if key.null_fraction is not None and key.n_distinct is not None
    ]
    cells = index_cells(statistics, len(index.keys), index.table_tuples)
    if cells is None:
        return None
    # Filling pages one by one is for a confirmation; here it would take most of the time.
    fill = leaf_bytes(item.size, index.fillfactor)
    expected = index_size(merged_bytes(cells, rows, item.size) / fill, item.size)
    bound = 0.40 if len(index.keys) == 1 and item.is_fixed else 0.80
    return _screen(index, expected, "estimate", bound)


def _screen(index: IndexFacts, expected: float, method: str, bound: float) -> BloatEstimate:
    """Return an estimate whose bound also covers what counts may have missed of the rows that are not waste by it."""
    estimate = make_estimate(index.size_bytes, expected, method, bound)
    missed = (1 - estimate.ratio) * min(1.0, _uncounted(index) + _unvacuumed(index))
    return replace(estimate, error_bound=min(1.0, estimate.error_bound + missed))


def _most_rows(index: IndexFacts) -> float | None:
    """Return the rows in the index, counted or not; None when they were not counted, or in an empty table."""
    growth = _growth(index)
    return None if index.tuples is None or growth is None else index.tuples * growth


def _growth(index: IndexFacts) -> float | None:
    """Return by what the table's rows are more than those that VACUUM or ANALYZE counted, at most.

    A load is seen in the statistics, and where a crash lost them, in the table's size. Rows that are fewer are not: what
    was deleted is in the index until VACUUM has counted.
    """
    if index.table_tuples:
        return max(1.0, index.table_growth, index.live_rows / index.table_tuples)
    return None if index.live_rows or index.table_growth > 1 else 1.0


def _uncounted(index: IndexFacts) -> float:
    """Return the share of its rows that an index does not have when what has grown are not rows, or not its own."""
    return 1 - 1 / (_growth(index) or math.inf)


def _unvacuumed(index: IndexFacts) -> float:
    """Return the share of rows that are dead and not yet vacuumed, which a rebuild would leave out."""
    return index.dead_rows / (index.live_rows + index.dead_rows) if index.dead_rows else 0.0


def _width_doubt(item: ItemSize) -> float:
    """Return the error of a ratio for what an average width leaves open: sizes are rounded up to multiples of 8."""
    if item.is_fixed:
        return 0.05
    return 0.10 + 3.5 / (item.size + LINE_POINTER) if item.size <= COMPRESSIBLE_BYTES else 1.0


def needs_confirmation(
    index: IndexFacts, baseline: Baseline | None, threshold: float, min_size_bytes: int
) -> bool:
    """Return whether to read the pages of an index: whether it may be bloated over the threshold."""
    if not can_be_confirmed(index) or index.size_bytes < min_size_bytes:
        return False
    if _uncounted(index) > threshold:
        return True
    estimate = bloat_from_baseline(index, baseline)
    if estimate is not None:
        dead = (1 - estimate.ratio) * _unvacuumed(index)
        return estimate.ratio + estimate.error_bound - dead > threshold
    margin = _may_be_more(index) + 2 * PAGE_BYTES / index.size_bytes + _uncounted(index)
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
    if may_merge(index) and len(index.keys) > 1 and not _is_all_different(index):
        return 0.35
    return 0.05 if item.is_fixed else 0.15


def can_be_confirmed(index: IndexFacts) -> bool:
    """Return whether pgstatindex reads such an index: a valid b-tree that has pages of its own."""
    return (
        index.access_method == BTREE and index.is_valid and not index.is_partitioned and index.size_bytes > 0
    )


def may_merge(index: IndexFacts) -> bool:
    """Return whether a build may put rows of equal keys together."""
    # A unique index has equal keys only among versions of a row, which a rebuild leaves out.
    return index.deduplicates and not index.is_unique


def _is_all_different(index: IndexFacts) -> bool:
    """Return whether ANALYZE saw hardly a value of some key twice, in a table where its sample could not overlook them."""
    return (index.table_tuples or 0) < SAMPLE_TELLS_ROWS and any(
        key.n_distinct is not None and key.n_distinct <= -DIFFERENT_SHARE for key in index.keys
    )


def _is_of_one_size(index: IndexFacts) -> bool:
    item = item_size(index)
    return index.access_method == BTREE and not may_merge(index) and item is not None and item.is_fixed


def make_estimate(size_bytes: int, expected: float, method: str, bound: float) -> BloatEstimate:
    """Return the estimate for an index of `size_bytes` of which a build would make `expected` bytes, or a page more or less.

    Args:
        size_bytes: now; not 0.
        expected: bytes.
        method: the tier.
        bound: the error of the ratio, beside that page.
    """
    bloat = max(0.0, size_bytes - expected)
    return BloatEstimate(
        ratio=bloat / size_bytes,
        bloat_bytes=round(bloat),
        method=method,
        error_bound=min(1.0, bound + PAGE_BYTES / size_bytes),
        confirmed=method == "pgstatindex",
    )
