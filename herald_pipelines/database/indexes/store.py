"""What the target database tells about its indexes. Reads only; it neither runs nor explains a user's query.

Not here: judging (bloat.py, verdicts.py) and what the ops database remembers (history.py).
"""

from collections import defaultdict
from collections.abc import Iterable

from herald_pipelines.database.indexes.facts import IndexFacts, IndexKey, IndexUsage
from herald_pipelines.resources.postgres import Row, Session

# Defaults of the access methods; others have no fillfactor.
DEFAULT_FILLFACTOR = {"btree": 90, "gist": 90, "hash": 75, "spgist": 80}


def read_index_facts(session: Session) -> tuple[IndexFacts, ...]:
    """Read every index of the database's own tables, ordered by schema, table and name.

    Two catalog queries, whatever the number of indexes. A role with pg_monitor alone gets everything but the
    statistics of the columns, which are then null. An index dropped meanwhile is left out.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    columns: defaultdict[int, list[Row]] = defaultdict(list)
    for row in session.fetch("indexes/read_index_keys"):
        columns[row["oid"]].append(row)
    return tuple(
        _facts(row, columns[row["oid"]])
        for row in session.fetch("indexes/read_indexes")
        if row["oid"] in columns and row["definition"] is not None and row["size_bytes"] is not None
    )


def _facts(row: Row, columns: list[Row]) -> IndexFacts:
    keys = [each for each in columns if not each["is_included"]]
    included = tuple(each["definition"] for each in columns if each["is_included"])
    options = _options(row["options"])
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
            method == "btree"
            and not included
            and _is_on(options.get("deduplicate_items", "on"))
            and all(each["is_equal_image"] for each in keys)
        ),
        keys=tuple(_key(each) for each in keys),
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
        table_bytes=row["table_bytes"] or 0,
        table_writes=row["table_writes"],
        table_scans=row["table_scans"],
        usage=IndexUsage(
            scans=row["scans"],
            tuples_read=row["tuples_read"],
            tuples_fetched=row["tuples_fetched"],
            blocks_hit=row["blocks_hit"],
            blocks_read=row["blocks_read"],
            last_scan_at=row["last_scan_at"],
        ),
    )


def _key(row: Row) -> IndexKey:
    return IndexKey(
        definition=row["definition"],
        attnum=row["attnum"],
        type_name=row["type_name"],
        opclass=row["opclass"],
        collation=row["collation"],
        options=row["options"],
        average_width=row["average_width"],
        null_fraction=row["null_fraction"],
        n_distinct=row["n_distinct"],
    )


def _options(reloptions: Iterable[str] | None) -> dict[str, str]:
    return dict(each.split("=", 1) for each in reloptions or ())


def _is_on(value: str) -> bool:
    # PostgreSQL keeps the word as it was written, and takes any unambiguous beginning of these.
    word = value.lower()
    return word in {"1", "on"} or any(full.startswith(word) for full in ("true", "yes"))
