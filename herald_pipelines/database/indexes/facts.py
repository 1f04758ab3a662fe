"""Frozen facts about indexes, as the catalog and the statistics views tell them. Not here: judging them, reading them."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One key of an index, in the order of the index."""

    definition: str
    """pg_get_indexdef(index, n, true): a column's name or an expression; the expressions as the catalog holds them while
    the table is locked, equal only to themselves.
    """
    attnum: int
    """Column number in the table; 0 for an expression."""
    type_name: str
    """Of pg_type, of a domain its base; every enumeration is "enum"."""
    opclass: int
    collation: int
    options: int
    """pg_index.indoption: bit 1 = DESC, bit 2 = NULLS FIRST."""
    average_width: float | None = None
    """Bytes, pg_stats.avg_width; null when the role may not see the column's statistics, or there are none."""
    null_fraction: float | None = None
    n_distinct: float | None = None
    """pg_stats.n_distinct: positive = count, negative = share of rows."""

    @property
    def signature(self) -> tuple[str, int, int, int]:
        """What makes two keys the same key."""
        return (self.definition, self.opclass, self.collation, self.options)


@dataclass(frozen=True, slots=True)
class IndexUsage:
    """Cumulative counters since the last reset, summed over the primary and its replicas by whoever reads them."""

    scans: int
    tuples_read: int
    tuples_fetched: int
    blocks_hit: int
    blocks_read: int
    last_scan_at: datetime | None = None
    """pg_stat_all_indexes.last_idx_scan (16+)."""


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """One index of a target database."""

    oid: int
    schema: str
    table: str
    table_oid: int
    name: str
    access_method: str
    definition: str | None
    """pg_get_indexdef: complete DDL, schema-qualified; null while somebody locks the table exclusively."""
    size_bytes: int
    """pg_relation_size, or what VACUUM last noted of a locked one; 0 for a partitioned index, whose leaves hold the data."""
    tuples: float | None
    """pg_class.reltuples; null when it is -1 (never counted)."""
    relfilenode: int
    """Changes with every rebuild, so that a baseline is tied to one life of the index."""
    fillfactor: int
    """Percent; the access method's default when not set."""
    deduplicates: bool
    """Whether a b-tree may use posting lists: deduplicate_items on, and key types that allow it."""
    keys: tuple[IndexKey, ...]
    included: tuple[str, ...]
    """INCLUDE columns."""
    predicate: str | None
    """WHERE of a partial index."""
    is_unique: bool
    is_primary: bool
    is_exclusion: bool
    is_immediate: bool
    nulls_not_distinct: bool
    is_valid: bool
    is_ready: bool
    is_clustered: bool
    is_replica_identity: bool
    is_partitioned: bool
    """relkind I: the parent of the indexes of the partitions."""
    parent_oid: int | None
    """The partitioned index that this one is attached to."""
    constraint: str | None
    """Name of the constraint that owns the index (primary key, unique, exclusion)."""
    referenced_by_foreign_key: bool
    """Some foreign key points at the unique index."""
    supports_foreign_key: str | None
    """Name of a foreign key of this table whose columns the index leads with: deletes in the referenced table need it."""
    table_tuples: float | None
    table_bytes: int
    """pg_relation_size: what a build reads of the table; not its TOAST."""
    table_writes: int
    """n_tup_ins + n_tup_upd + n_tup_del since the last reset."""
    table_scans: int
    """seq_scan + idx_scan of the table since the last reset: a table that nobody reads judges no index."""
    usage: IndexUsage
    live_rows: float = 0.0
    """n_live_tup of the table, which moves on with every write; 0 also where a crash lost it."""
    dead_rows: float = 0.0
    """n_dead_tup, likewise."""
    table_growth: float = 1.0
    """Pages of the table now, as a multiple of those in which `table_tuples` were counted; not below 1."""

    @property
    def key_signature(self) -> tuple[tuple[str, int, int, int], ...]:
        """The keys, comparable with another index's of the same table and access method."""
        return tuple(key.signature for key in self.keys)
