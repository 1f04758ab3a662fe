"""Pure: how often the keys of an index repeat, from what ANALYZE noted of its columns.

A column is a list of `Cell`s: so many values of such a probability. n_distinct is far too low where few rows
were sampled, so it is not taken at its word: sought is the distribution for which ANALYZE, with its sample
and its estimator (Duj1 of Haas and Stokes, in compute_scalar_stats), would have noted what it noted.

Not here: what a b-tree makes of equal keys (btree_build.py).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from herald_pipelines.database.indexes.btree_build import group_bytes, group_items

ROWS_PER_TARGET = 300
"""ANALYZE samples so many rows for each unit of the statistics target."""
BINS_PER_COLUMN = 40
BINS = 120
UNIQUE_CELLS = 1e4
"""Possible values a row from which on values practically never repeat."""
BISECTIONS = 20
SLOPE_BISECTIONS = 16
STEEPEST = 3.0
MANY, NORMAL_FROM, RARE = 1000, 50, 1e-6
"""Means of a Poisson distribution that is as good as its mean, as good as normal, or never more than 1."""
SAMPLED_GROUPS = 40_000


@dataclass(frozen=True)
class KeyStatistics:
    """What ANALYZE noted of one key of an index."""

    null_fraction: float
    n_distinct: float
    """Positive = count, negative = share of rows."""
    common_fractions: tuple[float, ...] = ()
    """pg_stats.most_common_freqs, falling."""
    target: int = 100
    """The statistics target: at most so many common values, from 300 times so many rows."""


@dataclass(frozen=True)
class Cell:
    """`count` different values, each of which a row has with `probability`."""

    count: float
    probability: float


def column_cells(statistics: KeyStatistics, rows: float) -> list[Cell]:
    """Return the distribution of a column of a table of `rows` rows.

    >>> column_cells(KeyStatistics(0.0, 4.0, (0.4, 0.3, 0.2, 0.1)), 1000)[0]
    Cell(count=1, probability=0.4)
    """
    common = statistics.common_fractions
    cells = [Cell(1, each) for each in common]
    if statistics.null_fraction > 0:
        cells.append(Cell(1, statistics.null_fraction))
    rest = 1 - statistics.null_fraction - sum(common)
    noted = statistics.n_distinct if statistics.n_distinct > 0 else -statistics.n_distinct * rows
    if rest * rows < 1 or noted <= len(common):
        return cells
    if statistics.n_distinct == -1:
        return [*cells, *_tail(UNIQUE_CELLS * rows, 0, rest, 0.0)]
    return cells + _rest(statistics, rows, rest, noted)


def index_cells(
    statistics: Sequence[KeyStatistics], keys: int, table_rows: float | None
) -> list[Cell] | None:
    """Return the distribution of the keys of an index in its table; a partial index has a random part of it.

    None when a key has no statistics, or the table's rows were never counted.
    """
    if len(statistics) < keys or not table_rows:
        return None
    columns = [column_cells(each, table_rows) for each in statistics]
    return columns[0] if len(columns) == 1 else combine(columns)


def combine(columns: Iterable[list[Cell]]) -> list[Cell]:
    """Return the distribution of several columns together, taken as independent of each other."""
    product = [Cell(1, 1.0)]
    for cells in columns:
        few = _rebin(cells, BINS_PER_COLUMN)
        pairs = [Cell(a.count * b.count, a.probability * b.probability) for a in product for b in few]
        product = _rebin(pairs, BINS)
    return product


def merged_bytes(cells: list[Cell], rows: float, item: float) -> float:
    """Return the bytes of all leaf items, line pointers counted, with equal keys of `rows` rows merged."""

    def bytes_of(number: int) -> float:
        return group_bytes(item, number)

    return sum(cell.count * _expected(cell.probability * rows, bytes_of) for cell in cells)


def merged_limits(
    statistics: KeyStatistics, rows: float, table_rows: float, item: float
) -> tuple[float, float]:
    """Return the fewest and the most bytes that `rows` of a table's rows may take with equal keys merged.

    Both are for rows spread evenly over the values, where n_distinct is at its word, and for as many more or fewer values
    as the luck of the sample explains: ANALYZE goes by the pairs of equal rows in it, and their number is as good as random.
    """
    common = [each for each in (*statistics.common_fractions, statistics.null_fraction) if each]
    fixed = sum(group_bytes(item, max(1, round(each * rows))) for each in common)
    rest = max(0.0, 1 - sum(common))
    noted = statistics.n_distinct if statistics.n_distinct > 0 else -statistics.n_distinct * table_rows
    share = min(1.0, rows / table_rows)
    values = min(max(1.0, (noted - len(statistics.common_fractions)) * share), max(1.0, rest * rows))
    sample = min(table_rows, float(ROWS_PER_TARGET * statistics.target)) * rest
    luck = 2 / math.sqrt(max(1.0, sample**2 / (2 * values / share)))
    # Not always in this order: posting lists are aligned.
    counts = (max(1.0, values / (1 + luck)), values, min(values * (1 + luck), max(1.0, rest * rows)))
    sizes = [_even_bytes(rest * rows, count, item) for count in counts]
    return fixed + min(sizes), fixed + max(sizes)


def _even_bytes(rows: float, values: float, item: float) -> float:
    low = max(1, int(rows / values))
    above = min(max(rows / values - low, 0.0), 1.0)
    return values * ((1 - above) * group_bytes(item, low) + above * group_bytes(item, low + 1))


def repeated_groups(cells: list[Cell], rows: float) -> float:
    """Return how many keys more than one of `rows` rows have."""
    means = [(cell.count, cell.probability * rows) for cell in cells]
    return sum(count * (-math.expm1(-mean) - mean * math.exp(-mean)) for count, mean in means)


def sample_groups(cells: list[Cell], rows: float, item: float) -> list[list[float]]:
    """Return groups of equal keys as a build would meet them, in a random order that is always the same."""
    random = Random(0)  # noqa: S311
    present = [(cell, cell.count * -math.expm1(-cell.probability * rows)) for cell in cells]
    share = min(1.0, SAMPLED_GROUPS / max(sum(count for _, count in present), 1))
    groups: list[list[float]] = []
    for cell, count in present:
        wanted = count * share
        number = int(wanted) + (random.random() < wanted % 1)
        groups += [group_items(item, _draw(random, cell.probability * rows)) for _ in range(number)]
    random.shuffle(groups)
    return groups


def _rest(statistics: KeyStatistics, rows: float, mass: float, noted: float) -> list[Cell]:
    """Return the values beside the common ones, of `mass` together, when ANALYZE noted `noted` in all."""
    common = statistics.common_fractions
    present = 1 - statistics.null_fraction
    sample = min(rows, float(ROWS_PER_TARGET * statistics.target)) * present

    def fit(slope: float) -> list[Cell]:
        def gives_less(count: float) -> bool:
            tail = _tail(count, len(common), mass, slope)
            return _analyze_distinct(tail, len(common), sample / present, sample, rows * present) < noted

        count = _bisect(gives_less, 1.0, max(2.0, UNIQUE_CELLS * rows))
        return _tail(count, len(common), mass, slope)

    # A list of common values that is not full: ANALYZE found the others about equally frequent.
    even = fit(0.0)
    if len(common) < statistics.target:
        return even
    # A full one: the frequencies go on falling behind it, by a power law that fits the list as well. Not its
    # first quarter, which follows no law, and not its very end alone, where the luck of the sample rules.
    first = len(common) // 4
    seen = sum(common[first:])

    def lists_less(slope: float) -> bool:
        tail = fit(slope)
        scale = tail[0].probability * _first_rank(tail, len(common)) ** slope
        return scale * sum(rank**-slope for rank in range(first + 1, len(common) + 1)) < seen

    if not lists_less(0.0):
        return even
    low, high = 0.0, STEEPEST
    for _ in range(SLOPE_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if lists_less(middle) else (low, middle)
    return fit((low + high) / 2)


def _tail(count: float, skip: int, mass: float, slope: float) -> list[Cell]:
    """Return `count` values that fall as (skip + rank) ** -slope, in bins, together of probability `mass`."""
    if slope == 0:
        return [Cell(count, mass / count)]
    start = max(skip, 1)
    edges = [start * (1 + count / start) ** (step / BINS_PER_COLUMN) for step in range(BINS_PER_COLUMN + 1)]
    bins = [(high - low, math.sqrt(low * high) ** -slope) for low, high in pairwise(edges)]
    total = sum(size * weight for size, weight in bins)
    return [Cell(size, weight * mass / total) for size, weight in bins]


def _first_rank(tail: list[Cell], skip: int) -> float:
    """Return the rank that the first bin of a tail stands for."""
    start = max(skip, 1)
    return math.sqrt(start * (start + tail[0].count))


def _analyze_distinct(tail: list[Cell], common: int, drawn: float, sample: float, rows: float) -> float:
    """Return what ANALYZE would note as the number of distinct values.

    Args:
        tail: the values beside the common ones.
        common: how many common ones there are, all of which it has seen more than once.
        drawn: rows in the sample.
        sample: those of them that are not null.
        rows: rows of the table that are not null.
    """
    hits = [(cell.count, cell.probability * drawn) for cell in tail]
    distinct = common + sum(count * -math.expm1(-mean) for count, mean in hits)
    once = sum(count * mean * math.exp(-mean) for count, mean in hits)
    return min(rows, sample * distinct / max(sample - once + once * sample / rows, 1e-9))


def _bisect(is_too_low: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if is_too_low(middle) else (low, middle)
    return math.sqrt(low * high)


def _rebin(cells: list[Cell], bins: int) -> list[Cell]:
    """Put values of about the same probability together."""
    if len(cells) <= bins:
        return cells
    ordered = sorted(cells, key=lambda cell: -cell.probability)
    low, high = math.log(ordered[-1].probability), math.log(ordered[0].probability)
    width = (high - low) / bins or 1.0
    groups: dict[int, list[float]] = {}
    for cell in ordered:
        group = groups.setdefault(int((high - math.log(cell.probability)) / width), [0.0, 0.0])
        group[0] += cell.count
        group[1] += cell.count * cell.probability
    return [Cell(count, mass / count) for count, mass in groups.values()]


def _expected(mean: float, value: Callable[[int], float]) -> float:
    """Return the expectation of value(n) over n of a Poisson distribution, where 0 counts nothing.

    >>> round(_expected(3.0, float), 3), _expected(1e-9, float)
    (3.0, 1e-09)
    """
    if mean > MANY:
        return value(round(mean))
    if mean < RARE:
        return mean * value(1)
    spread = 6 * math.sqrt(mean) + 6
    first, last = max(1, int(mean - spread)), int(mean + spread) + 1
    # A coarse grid is good enough where many rows make the terms flat; it is weighed to the whole.
    numbers = range(first, last, max(1, (last - first) // 60))
    weights = [math.exp(number * math.log(mean) - mean - math.lgamma(number + 1)) for number in numbers]
    average = sum(w * value(number) for w, number in zip(weights, numbers, strict=True)) / sum(weights)
    return -math.expm1(-mean) * average


def _draw(random: Random, mean: float) -> int:
    """Draw from the Poisson distribution, 0 left out."""
    if mean > NORMAL_FROM:
        return max(1, round(random.gauss(mean, math.sqrt(mean))))
    if mean < RARE:
        return 1
    # Inversion, starting behind the probability of 0.
    term = math.exp(-mean)
    target = term + random.random() * -math.expm1(-mean)
    number, total = 0, term
    while total < target and number < 4 * NORMAL_FROM:
        number += 1
        term *= mean / number
        total += term
    return max(1, number)
