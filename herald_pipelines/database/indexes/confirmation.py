"""Pure: how much of a b-tree a rebuild would give back, by its counted pages. Not here: screening (bloat.py), reading."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from herald_pipelines.database.indexes.bloat import BloatEstimate, make_estimate, may_merge
from herald_pipelines.database.indexes.btree_build import (
    LEAF_SPACE,
    LINE_POINTER,
    PAGE_BYTES,
    TID_BYTES,
    ItemSize,
    index_size,
    item_size,
    leaf_fill,
    plain_size,
)
from herald_pipelines.database.indexes.duplicates import (
    Cell,
    KeyStatistics,
    index_cells,
    merged_bytes,
    merged_limits,
    repeated_groups,
    sample_groups,
)
from herald_pipelines.database.indexes.facts import IndexFacts

DEAD_SHARE_SEEN = 0.02
"""Fewer dead rows than this do not correct a measurement: the statistics are not that exact."""
SAME_WITHIN = 0.03
"""The model of duplicates is that good, so that a smaller difference says nothing about an index."""
MOSTLY_WITHIN = 1.25
"""Bytes by which what the pages tell of an item's size is off, for not knowing how many posting lists there are."""
NARROW = 100
"""Bytes of an average item up to which no large ones among them matter."""
MOSTLY_SINGLE = 0.5
"""Share of the rows from which on the items of single rows decide how pages are filled."""
NULL_ITEM = 16
"""Bytes of an item whose only key is null: its header, and the bitmap."""
MERGED_DOUBT = 0.05
"""For what is not known of the keys in posting lists."""
POSTING_OVERHEAD = 9
"""Bytes of a posting list beside its key and 6 for each row but the first: 6 for that one, and alignment."""


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


def confirm_bloat(index: IndexFacts, pages: IndexPages, statistics: Sequence[KeyStatistics]) -> BloatEstimate:
    """Compare the pages with the ones that a build would make of the same items.

    Args:
        index: its facts.
        pages: what was counted.
        statistics: of its keys, in their order; fewer than keys where the role may not see them.
    """
    if not pages.items:
        return make_estimate(pages.size_bytes, PAGE_BYTES, "pgstatindex", 0.01)
    average = pages.item_bytes / pages.items
    # Sizes are multiples of 8: an average that is one, too, is everybody's size.
    item = ItemSize(average, math.isclose(average, 8 * round(average / 8), abs_tol=0.01))
    pivot = _pivot_size(pages, average)
    if not may_merge(index):
        dead = _dead_share(index, pages)
        extra = _unmerged_rows(index, pages)
        items, item = pages.items + extra, _unmerged_item(index, pages, extra) if extra else item
        expected = plain_size(items * (1 - dead), item, index.fillfactor, pivot)
        doubt = MERGED_DOUBT * extra / items
        return make_estimate(
            pages.size_bytes, expected, "pgstatindex", 0.02 + dead + doubt + _width_doubt(item)
        )
    cells = index_cells(statistics, len(index.keys), index.table_tuples)
    rows = _rows_now(index, pages)
    if rows is not None and not _may_hold(index, pages, rows):
        rows = None
    if cells is None or rows is None:
        expected = plain_size(pages.items, item, index.fillfactor, pivot)
        bound = _unmerged_bound(pages, rows) + _width_doubt(item)
        return make_estimate(pages.size_bytes, expected, "pgstatindex", bound)
    return _confirm_merged(index, pages, statistics, cells, rows, item)


def _confirm_merged(
    index: IndexFacts,
    pages: IndexPages,
    statistics: Sequence[KeyStatistics],
    cells: list[Cell],
    rows: float,
    item: ItemSize,
) -> BloatEstimate:
    measured = float(pages.item_bytes + LINE_POINTER * pages.items)
    single = _single_size(index, pages, cells, rows)
    merged = merged_bytes(cells, rows, single)
    fill, inside = leaf_fill(sample_groups(cells, rows, single), single, index.fillfactor)
    # Where there are more equal keys than the statistics tell, several columns depend on each other.
    as_built = _looks_as_built(pages, fill) and abs(merged / measured - 1) < SAME_WITHIN
    merged = measured if as_built else min(merged, measured)
    expected = index_size(merged / fill, single + 8 * inside)
    bound = 0.02 if as_built else 0.02 + _merging_doubt(index, statistics, rows, single, merged) / measured
    if pages.items > MOSTLY_SINGLE * rows:
        known = item_size(index)
        is_uniform = item.is_fixed or (known is not None and known.is_known)
        bound += _width_doubt(ItemSize(single, is_uniform))
    return make_estimate(pages.size_bytes, expected, "pgstatindex", bound)


def _merging_doubt(
    index: IndexFacts, statistics: Sequence[KeyStatistics], rows: float, single: float, merged: float
) -> float:
    """Return by how many bytes a build may miss `merged`, for what the statistics leave open.

    The rows may be spread evenly over the keys, or as at random, and each column may follow from the one of most values.
    """
    table_rows = index.table_tuples or rows
    limits = [merged_limits(each, rows, table_rows, single) for each in statistics]
    fewest, most = max(limits)
    return max(merged - fewest, most - merged if len(limits) == 1 else 0.0)


def _looks_as_built(pages: IndexPages, fill: float) -> bool:
    return pages.leaf_fragmentation < 1 and pages.leaf_density <= 100 * fill / LEAF_SPACE + 1


def _single_size(index: IndexFacts, pages: IndexPages, cells: list[Cell], rows: float) -> float:
    """Return the size of an item of one row; where it varies, the pages tell, for rare keys may be longer."""
    known = item_size(index)
    if known is not None and known.is_known:
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


def _width_doubt(item: ItemSize) -> float:
    """Return the error for what an average hides: keys of a kilobyte among short ones leave much of their pages empty.

    Up to 40 points were measured, of indexes of 16 bytes and 1.9 kB mixed.
    """
    return 0.0 if item.is_fixed else min(0.4, max(0.0, (item.size - NARROW) / 400))


def _unmerged_rows(index: IndexFacts, pages: IndexPages) -> float:
    """Return how many rows are in posting lists that a build would not make, beyond the first of each list.

    Inserting merges equal keys with nulls in a unique index, too, and lists stay when deduplicate_items is switched off.
    """
    rows = _rows_now(index, pages) or 0.0
    return rows - pages.items if rows * (1 - DEAD_SHARE_SEEN) > pages.items else 0.0


def _unmerged_item(index: IndexFacts, pages: IndexPages, extra: float) -> ItemSize:
    """Return the average item when each of the `extra` rows has one of its own."""
    keys_bytes = pages.item_bytes - TID_BYTES * extra
    # All that repeats in a unique index of one column is null.
    single = NULL_ITEM if index.is_unique and len(index.keys) == 1 else keys_bytes / pages.items
    known = item_size(index)
    if known is not None and known.is_fixed:
        return known
    return ItemSize((keys_bytes + single * extra) / (pages.items + extra), is_fixed=False)


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
