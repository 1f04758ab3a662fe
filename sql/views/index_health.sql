create or replace view herald.index_health as
with recursive databases as (
    -- One step through the index for each database, however many rows the history holds.
    (select database from herald.index_analysis order by database limit 1)
    union all
    select (select a.database from herald.index_analysis a where a.database > d.database order by a.database limit 1)
      from databases d
     where d.database is not null
)
select a.database,
       a.schema_name,
       a.table_name,
       a.index_name,
       a.index_oid,
       a.access_method,
       a.size_bytes,
       a.bloat_ratio,
       a.bloat_bytes,
       a.bloat_method,
       a.scans,
       a.scans_window_days,
       array(select v ->> 'kind' from jsonb_array_elements(a.verdicts) v) as verdict_kinds,
       a.verdicts,
       a.rebuild_planned,
       a.window_key,
       a.analyzed_at
  from databases d
 cross join lateral (
           select max(l.analyzed_at) as analyzed_at from herald.index_analysis l where l.database = d.database
       ) latest
  join herald.index_analysis a on a.database = d.database and a.analyzed_at = latest.analyzed_at;
comment on view herald.index_health is 'Each index of each database as the latest analysis saw it; indexes dropped since are not in it.';
comment on column herald.index_health.database is 'Name of the target database in the settings.';
comment on column herald.index_health.schema_name is 'Schema of the table and the index.';
comment on column herald.index_health.table_name is 'Table of the index.';
comment on column herald.index_health.index_name is 'Name of the index.';
comment on column herald.index_health.index_oid is 'pg_class.oid of the index when it was analysed.';
comment on column herald.index_health.access_method is 'btree, hash, gin, gist, brin, ...';
comment on column herald.index_health.size_bytes is 'pg_relation_size.';
comment on column herald.index_health.bloat_ratio is 'Share of the size that a rebuild would give back, 0 to 1; null when nobody could tell.';
comment on column herald.index_health.bloat_bytes is 'The same in bytes.';
comment on column herald.index_health.bloat_method is 'How the bloat was found; the methods differ in their error.';
comment on column herald.index_health.scans is 'Scans within scans_window_days; null without two comparable snapshots.';
comment on column herald.index_health.scans_window_days is 'Length of the time over which scans were counted, in days.';
comment on column herald.index_health.verdict_kinds is 'unused, duplicate, redundant, inefficient, invalid, bloated: all that apply.';
comment on column herald.index_health.verdicts is 'The same with reasons: array of {kind, reason, covered_by, ddl}.';
comment on column herald.index_health.rebuild_planned is 'Whether the analysis would rebuild the index.';
comment on column herald.index_health.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.index_health.analyzed_at is 'When, by this database''s clock.';
