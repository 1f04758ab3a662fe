"""Pure: how large the b-tree is that CREATE INDEX or REINDEX builds, page by page as nbtsort.c fills them.

Sizes are bytes, for pages of 8 KiB and an alignment of 8. Not here: how many equal keys there are
(duplicates.py) and how large the index is now.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from herald_pipelines.database.indexes.facts import IndexFacts, IndexKey

PAGE_BYTES = 8192
LINE_POINTER = 4
LEAF_SPACE = PAGE_BYTES - 24 - 16
"""A page without its header and the b-tree's special area."""
EMPTY_FREE = LEAF_SPACE - 2 * LINE_POINTER
"""PageGetFreeSpace of a new page: one line pointer is kept for the high key, one for the next item."""
TUPLE_HEADER = 8
TID_BYTES = 6
POSTING_LIMIT = 808
"""Largest posting list a build makes: MAXALIGN_DOWN(BLCKSZ / 10) less a line pointer, in steps of 8."""
INTERNAL_FILLFACTOR = 70
NULL_BITMAP = 8
"""It has 4 bytes for up to 32 columns, and the first key is aligned."""
MOST_NULLABLE = 6
"""Columns of an index whose nulls are looked at: the sizes are as many as 2 to that power."""
MINUS_INFINITY = 8
"""The first item of an internal page has no key."""

# (bytes, alignment) of the fixed-length types that keys usually have; every other type counts as varying.
FIXED_TYPES = {
    "bool": (1, 1),
    "char": (1, 1),
    "date": (4, 4),
    "enum": (4, 4),
    "float4": (4, 4),
    "float8": (8, 8),
    "int2": (2, 2),
    "int4": (4, 4),
    "int8": (8, 8),
    "interval": (16, 8),
    "macaddr": (6, 4),
    "macaddr8": (8, 4),
    "money": (8, 8),
    "oid": (4, 4),
    "pg_lsn": (8, 8),
    "time": (8, 8),
    "timestamp": (8, 8),
    "timestamptz": (8, 8),
    "timetz": (12, 8),
    "uuid": (16, 1),
    "xid8": (8, 8),
}


def align(size: float) -> int:
    """Round up to the alignment of 8.

    >>> align(9), align(16), align(16.2)
    (16, 16, 24)
    """
    return -int(-size // 8) * 8


@dataclass(frozen=True)
class ItemSize:
    """Size of an index item that points to one row, without its line pointer."""

    size: float
    is_fixed: bool
    """Every item has this size; otherwise it is the average."""
    is_known: bool = False
    """It follows from the types and the nulls alone."""


def item_size(index: IndexFacts) -> ItemSize | None:
    """Return the size of an item from the types of the keys and their average widths.

    None when a key's width is not known, or the index has INCLUDE columns, whose widths nobody reads.
    """
    if index.included:
        return None
    if all(key.type_name in FIXED_TYPES for key in index.keys):
        return _fixed_size(index.keys)
    offset = float(TUPLE_HEADER)
    for key in index.keys:
        if key.type_name in FIXED_TYPES:
            offset = _after(offset, key)
        elif key.average_width is None:
            return None
        else:
            # Of values that are not null; a null takes none, and a bitmap.
            nulls = key.null_fraction or 0.0
            offset += key.average_width * (1 - nulls) + 8 * nulls
    # Widths that vary are rounded up by 3.5 bytes on average.
    return ItemSize(offset + 3.5, is_fixed=False)


def _fixed_size(keys: Sequence[IndexKey]) -> ItemSize:
    """Return the size of an item of fixed-length types: less for each null, and a bitmap more where there is one.

    Nulls of different columns are taken as independent of each other.
    """
    nullable = [place for place, key in enumerate(keys) if key.null_fraction][:MOST_NULLABLE]
    if not nullable:
        offset = float(TUPLE_HEADER)
        for key in keys:
            offset = _after(offset, key)
        return ItemSize(float(align(offset)), is_fixed=True, is_known=True)
    sizes: dict[int, float] = defaultdict(float)
    for mask in product((False, True), repeat=len(nullable)):
        nulls = dict(zip(nullable, mask, strict=True))
        share, offset = 1.0, float(TUPLE_HEADER + NULL_BITMAP * any(mask))
        for place, key in enumerate(keys):
            fraction = key.null_fraction or 0.0 if place in nulls else 0.0
            share *= fraction if nulls.get(place) else 1 - fraction
            offset = offset if nulls.get(place) else _after(offset, key)
        sizes[align(offset)] += share
    average = sum(size * share for size, share in sizes.items())
    return ItemSize(average, is_fixed=len(sizes) == 1, is_known=True)


def _after(offset: float, key: IndexKey) -> float:
    width, alignment = FIXED_TYPES[key.type_name]
    return -(-offset // alignment) * alignment + width


def group_bytes(item: float, rows: int) -> float:
    """Return the bytes, with line pointers, that a build makes of `rows` equal keys it may deduplicate.

    >>> group_bytes(16, 1), group_bytes(16, 2), group_bytes(16, 133)
    (20.0, 36.0, 832.0)
    """
    return sum(size + LINE_POINTER for size in group_items(item, rows))


def group_items(item: float, rows: int) -> list[float]:
    """Return the sizes of the items for `rows` equal keys: full posting lists, and one for the rest."""
    longest = max(1, int((POSTING_LIMIT - item) // TID_BYTES))
    full, rest = divmod(rows, longest)
    sizes = [_posting(item, longest)] * full
    if rest:
        sizes.append(_posting(item, rest))
    return sizes


def _posting(item: float, rows: int) -> float:
    # An item is an average, whose parts are aligned each; so a full list may seem longer than one can be.
    return float(item) if rows == 1 else float(min(item + align(TID_BYTES * rows), max(POSTING_LIMIT, item)))


def leaf_items(size: float, fillfactor: int, *, is_fixed: bool) -> float:
    """Return how many items of one size a leaf page gets, its high key not counted.

    A page is closed when its free space falls below the fillfactor's, or the next item does not fit; its last
    item then moves on to the next page, and a copy of it stays as the high key (_bt_buildadd).

    >>> [leaf_items(size, 90, is_fixed=True) for size in (16, 24, 1936)], leaf_items(16, 70, is_fixed=True)
    ([366.0, 261.0, 3.0], 284.0)
    """
    keep_free = max(_target_free(fillfactor), size + 8)
    step = size + LINE_POINTER
    count = (EMPTY_FREE - keep_free) / step
    return max(1.0, float(int(count)) if is_fixed else count - 0.5)


def leaf_bytes(size: float, fillfactor: int) -> float:
    """Return the bytes, with line pointers, of items about this size that a leaf page gets on average."""
    return leaf_items(size, fillfactor, is_fixed=False) * (size + LINE_POINTER)


def leaf_fill(groups: Iterable[list[float]], item: float, fillfactor: int) -> tuple[float, float]:
    """Fill leaf pages with groups of equal keys.

    Returns:
        Bytes of items a page, line pointers counted, and the share of pages that end inside a group.

    Args:
        groups: the items of each group, in the order of the index.
        item: size of an item without posting list: the rest of a posting list is cut off in a high key.
        fillfactor: percent.
    """
    target = _target_free(fillfactor)
    items = [(size, number) for number, group in enumerate(groups) for size in group]
    free, count, pages, inside, used, last_extra = float(EMPTY_FREE), 0, 0, 0, 0.0, 0.0
    previous: tuple[float, int] | None = None
    closed_bytes = 0.0
    for size, number in items:
        if previous and count > 1 and (free < size + 8 or free + last_extra < target):
            pages += 1
            inside += previous[1] == number
            closed_bytes += used - previous[0] - LINE_POINTER
            used, free, count = previous[0] + LINE_POINTER, EMPTY_FREE - previous[0] - LINE_POINTER, 1
        free -= size + LINE_POINTER
        used += size + LINE_POINTER
        count += 1
        last_extra = max(0.0, size - item)
        previous = (size, number)
    if not pages:
        return leaf_bytes(item, fillfactor), 0.0
    return closed_bytes / pages, inside / pages


def internal_pages(leaf_pages: int, pivot: float) -> int:
    """Return the number of pages above the leaves, the root among them.

    >>> internal_pages(1, 16), internal_pages(547, 16), internal_pages(3333, 1936)
    (0, 3, 1667)
    """
    target = _target_free(INTERNAL_FILLFACTOR)
    room = EMPTY_FREE - MINUS_INFINITY - LINE_POINTER - max(target, pivot)
    fanout = max(2, int(room // (pivot + LINE_POINTER)) + 1)
    total, level = 0, leaf_pages
    while level > 1:
        level = max(1, -(-(level - 1) // fanout))
        total += level
    return total


def plain_size(items: float, item: ItemSize, fillfactor: int, pivot: float) -> float:
    """Return the bytes of an index of items that point to one row each; `pivot` is the average size of a high key."""
    per_page = leaf_items(item.size, fillfactor, is_fixed=item.is_fixed)
    return index_size(max(items - 1, 0) / per_page, pivot)


def index_size(leaf_pages: float, pivot: float) -> float:
    """Return the bytes of a whole index; the last leaf page is begun, and there is a metapage."""
    leaves = max(1, math.ceil(leaf_pages - 1e-6))
    return float(PAGE_BYTES * (1 + leaves + internal_pages(leaves, pivot)))


def _target_free(fillfactor: int) -> int:
    return PAGE_BYTES * (100 - fillfactor) // 100
