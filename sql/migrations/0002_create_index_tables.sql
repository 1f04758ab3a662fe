-- What the index domain remembers: counters per window, sizes after a rebuild, verdicts. Runs as herald_owner.

create table herald.index_snapshot (
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    window_key        text collate "C" not null,
    index_oid         bigint not null,
    taken_at          timestamptz not null default now(),
    schema_name       text not null,
    table_name        text not null,
    index_name        text not null,
    relfilenode       bigint not null,
    size_bytes        bigint not null,
    tuples            double precision,
    scans             bigint not null,
    tuples_read       bigint not null,
    tuples_fetched    bigint not null,
    blocks_hit        bigint not null,
    blocks_read       bigint not null,
    last_scan_at      timestamptz,
    stats_reset_at    timestamptz,
    table_writes      bigint not null,
    table_scans       bigint not null,
    servers           jsonb not null default '{}',
    primary key (database, system_identifier, database_oid, window_key, index_oid)
);
comment on table herald.index_snapshot is 'Counters of every index at every window; usage is the difference of two rows. All counters are cumulative since stats_reset_at.';
comment on column herald.index_snapshot.database is 'Name of the target database in the settings.';
comment on column herald.index_snapshot.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.index_snapshot.database_oid is 'Which database of that cluster it was.';
comment on column herald.index_snapshot.window_key is 'Window of the calendar.';
comment on column herald.index_snapshot.index_oid is 'pg_class.oid of the index; REINDEX CONCURRENTLY gives it another one, which the ledger keeps as result.index_oid.';
comment on column herald.index_snapshot.taken_at is 'When, by this database''s clock; the same for all rows of one snapshot.';
comment on column herald.index_snapshot.schema_name is 'Schema of the table and the index.';
comment on column herald.index_snapshot.table_name is 'Table of the index.';
comment on column herald.index_snapshot.index_name is 'Name of the index.';
comment on column herald.index_snapshot.relfilenode is 'File of the index; changes with every rebuild.';
comment on column herald.index_snapshot.size_bytes is 'pg_relation_size.';
comment on column herald.index_snapshot.tuples is 'pg_class.reltuples; null when it was never counted.';
comment on column herald.index_snapshot.scans is 'Index scans, summed over the primary and its replicas.';
comment on column herald.index_snapshot.tuples_read is 'Index entries returned by scans.';
comment on column herald.index_snapshot.tuples_fetched is 'Live rows fetched by simple scans.';
comment on column herald.index_snapshot.blocks_hit is 'Blocks of the index found in the buffer cache.';
comment on column herald.index_snapshot.blocks_read is 'Blocks of the index read from outside of it.';
comment on column herald.index_snapshot.last_scan_at is 'Latest scan (PostgreSQL 16+).';
comment on column herald.index_snapshot.stats_reset_at is 'Since when the counters count; null when they were never reset.';
comment on column herald.index_snapshot.table_writes is 'Rows inserted, updated and deleted in the table.';
comment on column herald.index_snapshot.table_scans is 'Sequential and index scans of the table.';
comment on column herald.index_snapshot.servers is 'The same counters by server, where there are replicas: {"primary": {"scans": 1}}.';

create index index_snapshot_history on herald.index_snapshot (database, index_oid, taken_at);


create table herald.index_baseline (
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    index_oid         bigint not null,
    relfilenode       bigint not null,
    bytes_per_tuple   double precision not null,
    size_bytes        bigint not null,
    tuples            double precision not null,
    measured_at       timestamptz not null default now(),
    primary key (database, system_identifier, database_oid, index_oid)
);
comment on table herald.index_baseline is 'How dense each index is when it is new: its size per tuple right after a build. Replaced by the next rebuild.';
comment on column herald.index_baseline.database is 'Name of the target database in the settings.';
comment on column herald.index_baseline.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.index_baseline.database_oid is 'Which database of that cluster it was.';
comment on column herald.index_baseline.index_oid is 'pg_class.oid of the index.';
comment on column herald.index_baseline.relfilenode is 'The life of the index that was measured; another one makes the row stale.';
comment on column herald.index_baseline.bytes_per_tuple is 'size_bytes / greatest(tuples, 1).';
comment on column herald.index_baseline.size_bytes is 'pg_relation_size after the build.';
comment on column herald.index_baseline.tuples is 'pg_class.reltuples after the build.';
comment on column herald.index_baseline.measured_at is 'When, by this database''s clock.';


create table herald.index_analysis (
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    window_key        text collate "C" not null,
    index_oid         bigint not null,
    analyzed_at       timestamptz not null default now(),
    schema_name       text not null,
    table_name        text not null,
    index_name        text not null,
    access_method     text not null,
    size_bytes        bigint not null,
    bloat_ratio       double precision,
    bloat_bytes       bigint,
    bloat_method      text,
    scans             bigint,
    scans_window_days double precision,
    verdicts          jsonb not null default '[]',
    rebuild_planned   boolean not null default false,
    primary key (database, system_identifier, database_oid, window_key, index_oid),
    constraint index_analysis_verdicts_is_array check (jsonb_typeof(verdicts) = 'array')
);
comment on table herald.index_analysis is 'What was concluded about each index at each window. All rows of one analysis carry the same analyzed_at.';
comment on column herald.index_analysis.database is 'Name of the target database in the settings.';
comment on column herald.index_analysis.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.index_analysis.database_oid is 'Which database of that cluster it was.';
comment on column herald.index_analysis.window_key is 'Window of the calendar.';
comment on column herald.index_analysis.index_oid is 'pg_class.oid of the index.';
comment on column herald.index_analysis.analyzed_at is 'When, by this database''s clock; the start of the transaction that wrote the analysis.';
comment on column herald.index_analysis.schema_name is 'Schema of the table and the index.';
comment on column herald.index_analysis.table_name is 'Table of the index.';
comment on column herald.index_analysis.index_name is 'Name of the index.';
comment on column herald.index_analysis.access_method is 'btree, hash, gin, gist, brin, ...';
comment on column herald.index_analysis.size_bytes is 'pg_relation_size.';
comment on column herald.index_analysis.bloat_ratio is 'Share of the size that a rebuild would give back, 0 to 1; null when nobody could tell.';
comment on column herald.index_analysis.bloat_bytes is 'The same in bytes.';
comment on column herald.index_analysis.bloat_method is 'How it was found; the methods differ in their error.';
comment on column herald.index_analysis.scans is 'Scans within scans_window_days; null without two comparable snapshots.';
comment on column herald.index_analysis.scans_window_days is 'Length of the time over which scans were counted, in days.';
comment on column herald.index_analysis.verdicts is 'Array of {kind, reason, covered_by, ddl}.';
comment on column herald.index_analysis.rebuild_planned is 'Whether the analysis would rebuild the index.';

create index index_analysis_latest on herald.index_analysis (database, analyzed_at desc);
