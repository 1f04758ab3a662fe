"""Pure: the statements that drop, make again and rebuild an index. Not here: deciding on them."""

import re

from herald_pipelines.database.indexes.facts import IndexFacts
from herald_pipelines.values import quote_identifier

# What pg_get_indexdef begins with; a quoted name may hold anything, doubled quotes included.
_CREATE = re.compile(r'CREATE (?P<unique>UNIQUE )?INDEX (?P<name>"(?:[^"]|"")+"|[^\s"]+) ON (?P<only>ONLY )?')

# What REINDEX CONCURRENTLY calls its second index while it builds (ccnew) and its first once they are
# swapped (ccold).
_LEFTOVER = re.compile(r"(?P<base>.*)_(?P<kind>ccnew|ccold)[0-9]*", re.DOTALL)
# NAMEDATALEN - 1; a name is cut at a whole character, so a byte-cut name may be up to three bytes shorter.
_NAME_BYTES, _CUT_BYTES = 63, 60


def is_leftover_name(name: str) -> bool:
    """Whether an index is named as an interrupted REINDEX CONCURRENTLY leaves one.

    The suffix is whole however long the name was: PostgreSQL cuts the part before it at 63 bytes in all.

    >>> [is_leftover_name(each) for each in ("a_ccnew", "a_ccold2", "a_ccnew_x", "accession")]
    [True, True, False, False]
    """
    return _LEFTOVER.fullmatch(name) is not None


def is_leftover_of(name: str, index: str, kind: str) -> bool:
    """Whether an index is named as an interrupted REINDEX CONCURRENTLY of `index` leaves one.

    Args:
        name: of the index in question.
        index: name of the index that was rebuilt.
        kind: `ccnew` or `ccold`.

    >>> is_leftover_of("a_ccnew1", "a", "ccnew"), is_leftover_of("a_ccnew", "ab", "ccnew")
    (True, False)
    >>> is_leftover_of("x" * 57 + "_ccnew", "x" * 63, "ccnew")
    True
    """
    match = _LEFTOVER.fullmatch(name)
    if match is None or match["kind"] != kind:
        return False
    was_cut = len(name.encode()) >= _CUT_BYTES and index.startswith(match["base"])
    return match["base"] == index or was_cut


def drop_statement(index: IndexFacts) -> str:
    """Return the DDL that drops an index; a partitioned one cannot be dropped concurrently."""
    concurrently = "" if index.is_partitioned else "CONCURRENTLY "
    return f"DROP INDEX {concurrently}{quote_identifier(index.schema, index.name)}"


def create_statement(index: IndexFacts) -> str | None:
    """Return the DDL that makes a dropped index again: on a partitioned table, with all its partitions.

    It does not restore a tablespace, a comment or a statistics target, which pg_get_indexdef does not tell. None when
    the definition could not be read.

    Raises:
        ValueError: the definition is not one of pg_get_indexdef.
    """
    if index.definition is None:
        return None
    head = _CREATE.match(index.definition)
    if head is None:
        raise ValueError(f"not an index definition: {index.definition!r}")
    concurrently = "" if index.is_partitioned else "CONCURRENTLY "
    rest = index.definition[head.end() :]
    return f"CREATE {head['unique'] or ''}INDEX {concurrently}{head['name']} ON {rest}"


def reindex_statement(index: IndexFacts) -> str:
    """Return the DDL that rebuilds an index; PostgreSQL cannot rebuild exclusion constraints concurrently."""
    concurrently = "" if index.is_exclusion else "CONCURRENTLY "
    return f"REINDEX INDEX {concurrently}{quote_identifier(index.schema, index.name)}"
