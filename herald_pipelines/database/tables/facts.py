"""Frozen data about tables, as the server tells it. Not here: reading it (store.py), judging it (need.py)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

PARTITIONED = "p"


@dataclass(frozen=True)
class Rules:
    """PostgreSQL's own settings on when a table needs maintenance, and the age of the database. Ages are in transactions."""

    major: int
    block_bytes: int
    counts_are_kept: bool
    """track_counts: without it nobody knows of dead rows."""
    vacuum_threshold: float
    vacuum_scale_factor: float
    vacuum_max_threshold: float
    """Rows; -1: none, as before PostgreSQL 18."""
    insert_threshold: float
    """Rows; -1: inserts alone are no reason."""
    insert_scale_factor: float
    analyze_threshold: float
    analyze_scale_factor: float
    freeze_max_age: int
    """At that age autovacuum freezes a table, whatever is going on."""
    multixact_freeze_max_age: int
    freeze_table_age: int
    """From that age on a VACUUM by hand reads every page that is not frozen."""
    multixact_freeze_table_age: int
    failsafe_age: int
    """From that age on VACUUM leaves out all that is not freezing."""
    multixact_failsafe_age: int
    statistics_target: int
    database_xid_age: int
    database_multixact_age: int
    role: str
    sees_sessions: bool
    """Whether other roles' snapshots are visible to the role."""
    sees_statistics: bool
    """Whether missing statistics are visible to the role."""


@dataclass(frozen=True)
class Holder:
    """Somebody whose old snapshot or transaction keeps rows that died since from being removed."""

    holder: str
    xid_age: int
    """Transactions begun since."""
    seconds: float | None
    """For how long; null for slots and standbys."""
    catalogs_only: bool


@dataclass(frozen=True)
class TableFacts:
    """One table, partitioned table or materialized view, with its TOAST table. Rows are counts of the statistics."""

    oid: int
    schema: str
    table: str
    kind: str
    """pg_class.relkind: r, m or p."""
    is_system: bool
    is_populated: bool
    """False: a materialized view WITH NO DATA."""
    options: Mapping[str, str]
    """Storage parameters, by name."""
    tuples: float | None
    """Rows at the last VACUUM or ANALYZE; null: there was none."""
    size_bytes: int
    pages: int
    """At the last VACUUM or ANALYZE, like the next two."""
    visible_pages: int
    frozen_pages: int | None
    """Null before PostgreSQL 18."""
    index_bytes: int
    index_scans: int
    live_rows: int
    dead_rows: int
    inserted_rows: int
    """Since the last VACUUM."""
    modified_rows: int
    """Since the last ANALYZE."""
    vacuumed_at: datetime | None
    """By hand or by autovacuum; null: never, or the counters were lost since."""
    analyzed_at: datetime | None
    xid_age: int
    multixact_age: int
    is_worked_on: bool
    """Somebody's VACUUM or ANALYZE is at it."""
    toast_oid: int | None
    toast_options: Mapping[str, str]
    toast_tuples: float | None
    toast_bytes: int
    toast_dead_rows: int
    toast_inserted_rows: int
    toast_xid_age: int
    toast_multixact_age: int
    lacks_statistics: bool | None = None
    """Null: the role may not see that."""
    leaf_rows: float = 0.0
    """Of a partitioned table: what its partitions hold, and what was modified in them since each was analyzed."""
    leaf_modified_rows: int = 0
    leaf_bytes: int = 0
    leaves_analyzed_at: datetime | None = None
    """The newest ANALYZE of a partition."""

    @property
    def name(self) -> str:
        """Its qualified name."""
        return f"{self.schema}.{self.table}"

    @property
    def is_partitioned(self) -> bool:
        """Whether it holds no row itself."""
        return self.kind == PARTITIONED


@dataclass(frozen=True)
class DatabaseFacts:
    """All that a plan is made from, as it was at one moment."""

    rules: Rules
    tables: tuple[TableFacts, ...]
    holders: tuple[Holder, ...]
    """The oldest first."""
    notes: tuple[str, ...] = field(default=())
    """What the role could not see."""
