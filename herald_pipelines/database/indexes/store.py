"""What the target database tells about its indexes. Reads only; it neither runs nor explains a user's query.

Not here: judging (bloat.py, verdicts.py) and what the ops database remembers (history.py).
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.database.indexes.bloat import BloatEstimate, can_be_confirmed
from herald_pipelines.database.indexes.confirmation import IndexPages, confirm_bloat
from herald_pipelines.database.indexes.duplicates import KeyStatistics
from herald_pipelines.database.indexes.facts import IndexFacts, IndexKey, IndexUsage
from herald_pipelines.errors import LockTimeout, PermanentFailure, StatementTimeout
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.values import format_bytes, quote_identifier

# Defaults of the access methods; others have no fillfactor.
DEFAULT_FILLFACTOR = {"btree": 90, "gist": 90, "hash": 75, "spgist": 80}

Columns = Mapping[tuple[int, int], Row]
"""By relation and attnum; of an expression by its index and position."""
NO_TYPE: Row = {"type_name": ""}
"""Of an expression whose index was rebuilt concurrently meanwhile."""
FIRST_WITH_LAST_SCAN = 160000
DOUBTFUL_SHARE = 0.02
"""Share of a table's rows by which its statistics may move before its pages are asked."""

STATISTICS_AT_ONCE = 200
"""Indexes whose statistics are held in memory together: a hundred frequencies a key."""


@dataclass(frozen=True)
class Confirmation:
    """What reading the pages of an index told, or why they were not read."""

    oid: int
    estimate: BloatEstimate | None
    reason: str | None
    """Why there is no estimate; null when there is one."""


def read_index_facts(session: Session) -> tuple[IndexFacts, ...]:
    """Read every index of the database's own tables, ordered by schema, table and name.

    A few catalog queries, whatever the number of indexes. A role with pg_monitor alone gets everything but the
    statistics of the columns, which are then null. An index dropped meanwhile is left out; no other is, whoever
    locks it or its table, so that what is not there does not exist. All are of one moment: one query tells of them.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    # Compiling the expressions of a query takes seconds, and is begun where the planner expects many rows.
    session.execute("set jit = off")
    indexes = session.fetch("indexes/read_indexes")
    statistics = {
        (row["schema"], row["relation"], row["attribute"]): row
        for row in session.fetch("indexes/read_column_statistics")
    }
    columns = {
        (row["relation_oid"], row["attnum"]): {
            **row,
            **statistics.get((row["schema"], row["relation"], row["attribute"]), {}),
        }
        for row in session.fetch("indexes/read_index_columns")
    }
    last_scans: dict[int, datetime] = {}
    if session.connection.server_version >= FIRST_WITH_LAST_SCAN:
        last_scans = {row["oid"]: row["last_scan_at"] for row in session.fetch("indexes/read_last_scans")}
    return tuple(
        _facts(row, keys, last_scans.get(row["oid"]))
        for row in indexes
        if (keys := _columns_of(row, columns)) is not None
    )


def confirm_indexes(
    session: Session, indexes: Sequence[IndexFacts], *, budget_bytes: float = float("inf")
) -> Generator[Confirmation]:
    """Read the pages of indexes one after the other, and give each one's bloat as soon as it is known.

    An index that is locked, takes longer than the session's statement timeout, vanishes, or does not fit into
    what is left of the budget is given with the reason, and the others go on.

    Args:
        session: in autocommit, so that no lock outlives the reading of its index.
        indexes: in the order of their reading.
        budget_bytes: how many bytes of indexes may be read.

    Raises:
        DatabaseUnavailable: the server went away.
    """
    hindrance = use_pgstattuple(session)
    left = budget_bytes
    counted: dict[int, Row] = {}
    for start in range(0, len(indexes), STATISTICS_AT_ONCE):
        part = indexes[start : start + STATISTICS_AT_ONCE]
        statistics = _read_key_statistics(session, [index.oid for index in part])
        for index in part:
            if not can_be_confirmed(index):
                yield Confirmation(index.oid, None, "only valid b-trees with pages of their own can be read")
            elif hindrance is not None:
                yield Confirmation(index.oid, None, hindrance)
            elif index.size_bytes > left:
                yield Confirmation(index.oid, None, _over_budget(index, left))
            else:
                left -= index.size_bytes
                yield _confirm(session, index, statistics[index.oid], counted)


def use_pgstattuple(session: Session) -> str | None:
    """Put the extension's schema on the session's search_path, or return why the extension cannot be used."""
    rows = session.fetch("indexes/find_pgstattuple")
    if not rows:
        return "the extension pgstattuple is not installed in this database"
    if not rows[0]["usable"]:
        return "the role may not use the extension pgstattuple (grant it pg_monitor or pg_stat_scan_tables)"
    session.execute(f"set search_path = pg_catalog, {quote_identifier(rows[0]['schema'])}")
    return None


def _over_budget(index: IndexFacts, left: float) -> str:
    return (
        f"its {format_bytes(index.size_bytes)} are more than the {format_bytes(left)} that may still be read"
    )


def _read_key_statistics(session: Session, oids: list[int]) -> defaultdict[int, list[KeyStatistics]]:
    found: defaultdict[int, list[KeyStatistics]] = defaultdict(list)
    for row in session.fetch("indexes/read_key_statistics", oids=oids):
        found[row["oid"]].append(
            KeyStatistics(
                null_fraction=row["null_fraction"],
                n_distinct=row["n_distinct"],
                common_fractions=tuple(row["common_fractions"]),
                target=row["target"],
            )
        )
    return found


def _confirm(
    session: Session, index: IndexFacts, statistics: Sequence[KeyStatistics], counted: dict[int, Row]
) -> Confirmation:
    try:
        pages = _read_pages(session, index, counted)
    except (LockTimeout, StatementTimeout, PermanentFailure) as error:
        return Confirmation(index.oid, None, error.message)
    return Confirmation(index.oid, confirm_bloat(index, pages, statistics), None)


def _read_pages(session: Session, index: IndexFacts, counted: dict[int, Row]) -> IndexPages:
    """Count the pages and items of a b-tree, with pgstattuple's schema on the search_path: it is read twice.

    Args:
        session: in autocommit.
        index: the b-tree.
        counted: the rows of tables by oid, as far as they were counted for other indexes; added to.

    Raises:
        LockTimeout: somebody locks it exclusively.
        StatementTimeout: it takes too long.
        PermanentFailure: it is gone, or not a valid b-tree.
    """
    row = session.fetch_one("indexes/read_pages", oid=index.oid, table_oid=index.table_oid)
    if _is_doubtful(index, row["live_rows"], row["dead_rows"]):
        # A session that deletes and then vacuums reports its deletions after the vacuum: the statistics then count rows
        # as dead that are gone, until the next vacuum. Only the pages tell.
        if index.table_oid not in counted:
            counted[index.table_oid] = session.fetch_one("indexes/count_rows", table_oid=index.table_oid)
        return IndexPages(**{**row, **counted[index.table_oid]})
    return IndexPages(**row)


def _is_doubtful(index: IndexFacts, live_rows: float, dead_rows: float) -> bool:
    """Whether the cumulative statistics say that the table is another one than VACUUM or ANALYZE last counted."""
    if not live_rows or not index.table_tuples:
        return False
    return (
        dead_rows > DOUBTFUL_SHARE * (live_rows + dead_rows)
        or abs(live_rows / index.table_tuples - 1) > DOUBTFUL_SHARE
    )


def _columns_of(row: Row, columns: Columns) -> list[Row] | None:
    """Return what is known of each column of an index; None when a column was dropped meanwhile, and so the index."""
    found: list[Row] = []
    for position, attnum in enumerate(_numbers(row["attnums"]), start=1):
        if attnum:
            column = columns.get((row["table_oid"], attnum))
            if column is None:
                return None
        else:
            column = {
                **columns.get((row["oid"], position), NO_TYPE),
                "definition": row["expressions"][position - 1],
            }
        found.append(column)
    return found


def _facts(row: Row, columns: Sequence[Row], last_scan_at: datetime | None) -> IndexFacts:
    keys = tuple(
        _key(*key)
        for key in zip(
            columns,
            _numbers(row["attnums"]),
            _numbers(row["opclasses"]),
            _numbers(row["collations"]),
            _numbers(row["options"]),
            strict=False,
        )
    )
    included = tuple(each["definition"] for each in columns[row["key_count"] :])
    options = _options(row["storage_options"])
    method = row["access_method"]
    return IndexFacts(
        oid=row["oid"],
        schema=row["schema"],
        table=row["table"],
        table_oid=row["table_oid"],
        name=row["name"],
        access_method=method,
        definition=row["definition"],
        size_bytes=row["size_bytes"],
        tuples=row["tuples"],
        relfilenode=row["relfilenode"],
        fillfactor=int(options.get("fillfactor", DEFAULT_FILLFACTOR.get(method, 100))),
        deduplicates=(
            row["is_equal_image"] and not included and _is_on(options.get("deduplicate_items", "on"))
        ),
        keys=keys,
        included=included,
        predicate=row["predicate"],
        is_unique=row["is_unique"],
        is_primary=row["is_primary"],
        is_exclusion=row["is_exclusion"],
        is_immediate=row["is_immediate"],
        nulls_not_distinct=row["nulls_not_distinct"],
        is_valid=row["is_valid"],
        is_ready=row["is_ready"],
        is_clustered=row["is_clustered"],
        is_replica_identity=row["is_replica_identity"],
        is_partitioned=row["is_partitioned"],
        parent_oid=row["parent_oid"],
        constraint=row["constraint"],
        referenced_by_foreign_key=row["referenced_by_foreign_key"],
        supports_foreign_key=row["supports_foreign_key"],
        table_tuples=row["table_tuples"],
        table_bytes=row["table_bytes"],
        table_writes=row["table_writes"],
        table_scans=row["table_scans"],
        usage=IndexUsage(
            scans=row["scans"],
            tuples_read=row["tuples_read"],
            tuples_fetched=row["tuples_fetched"],
            blocks_hit=row["blocks_hit"],
            blocks_read=row["blocks_read"],
            last_scan_at=last_scan_at,
        ),
        live_rows=row["live_rows"],
        dead_rows=row["dead_rows"],
        table_growth=row["table_growth"],
    )


def _numbers(vector: str) -> list[int]:
    """Read an int2vector or oidvector, which come as text: ten thousand lists would keep the garbage collector busy."""
    return [int(each) for each in vector.split()]


def _key(column: Row, attnum: int, opclass: int, collation: int, options: int) -> IndexKey:
    return IndexKey(
        definition=column["definition"],
        attnum=attnum,
        type_name=column["type_name"],
        opclass=opclass,
        collation=collation,
        options=options,
        average_width=column.get("average_width"),
        null_fraction=column.get("null_fraction"),
        n_distinct=column.get("n_distinct"),
    )


def _options(reloptions: Iterable[str] | None) -> dict[str, str]:
    return dict(each.split("=", 1) for each in reloptions or ())


def _is_on(value: str) -> bool:
    # PostgreSQL keeps the word as it was written, and takes any unambiguous beginning of these.
    word = value.lower()
    return word in {"1", "on"} or any(full.startswith(word) for full in ("true", "yes"))
