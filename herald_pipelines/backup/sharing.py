"""Pure: how many programs dump a database at once, and which tables' rows each of them takes.

All share one snapshot. The first takes the definitions, the large objects and the rows of all tables that no other takes.
"""

import heapq
from collections.abc import Sequence

from herald_pipelines.backup.facts import TableFacts

LARGE_BYTES = 10 * 1024**3
"""From this size on it is worth it: below, starting and restoring several archives costs what it saves."""
PROCESSORS_EACH = 2
"""Which one stream keeps busy: the server's process and pg_dump on one, zstd, gpg and the hashes on another."""
MOST_STREAMS = 4
"""By ourselves: a live platform has other work too."""
MOST_TABLES = 500
"""That are handed out: their names are arguments of programs. The largest make the difference."""


def choose_streams(size_bytes: int, processors: int, wanted: int | None) -> int:
    """Return how many programs dump a database at once.

    Args:
        size_bytes: of the database.
        processors: that this process may use.
        wanted: by the settings; None: chosen by size and processors.
    """
    if wanted is not None:
        return wanted
    return max(1, min(MOST_STREAMS, processors // PROCESSORS_EACH)) if size_bytes >= LARGE_BYTES else 1


def share_tables(tables: Sequence[TableFacts], streams: int) -> tuple[tuple[TableFacts, ...], ...]:
    """Return whose rows each further program takes, so that all have about as much to do: largest first, to the least busy.

    Only names in ASCII are handed out: patterns are read in the encoding of the database.

    Args:
        tables: of the database.
        streams: how many programs there are, the first included; fewer get tables where there are few.
    """
    candidates = [each for each in tables if each.kind == "r" and (each.schema_name + each.name).isascii()]
    candidates.sort(key=lambda each: (-each.size_bytes, each.schema_name, each.name))
    handed = {(each.schema_name, each.name) for each in candidates[:MOST_TABLES]}
    rest = sum(each.size_bytes for each in tables if (each.schema_name, each.name) not in handed)
    busy = [(rest if number == 0 else 0, number) for number in range(streams)]
    heapq.heapify(busy)
    groups: list[list[TableFacts]] = [[] for _ in range(streams)]
    for table in candidates[:MOST_TABLES]:
        load, number = heapq.heappop(busy)
        groups[number].append(table)
        heapq.heappush(busy, (load + table.size_bytes, number))
    return tuple(tuple(group) for group in groups[1:] if group)


def table_pattern(table: TableFacts) -> str:
    """Return the pattern of pg_dump that is one table and no other.

    >>> table_pattern(TableFacts(schema_name="s", name='a*"B', kind="r", is_unlogged=False, estimated_rows=0, size_bytes=0))
    '"s"."a*""B"'
    """
    return ".".join('"' + each.replace('"', '""') + '"' for each in (table.schema_name, table.name))
