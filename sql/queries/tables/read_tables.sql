-- One row a table, partitioned table or materialized view, system catalogs' too; no temporary table, which only its own
-- session may vacuum, and no foreign table, which has nothing to vacuum and whose ANALYZE reads another server. A TOAST table
-- is told with its table, by which it is vacuumed. Nobody is waited for: sizes take a share lock for a moment, so of what is
-- locked exclusively they are those that the last VACUUM or ANALYZE noted. Counters are read by the functions under the
-- statistics views, and columns of newer versions through to_jsonb.
with locked as materialized (
    select distinct relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database = (select oid from pg_database where datname = current_database())
),
block as materialized (
    select current_setting('block_size')::bigint as bytes
),
worked as materialized (
    select relid from pg_stat_progress_vacuum where datname = current_database()
    union
    select relid from pg_stat_progress_analyze where datname = current_database()
),
indexes as materialized (
    select i.indrelid, sum(c.relpages)::bigint as pages, sum(pg_stat_get_numscans(c.oid))::bigint as scans
    from pg_index as i
    join pg_class as c on c.oid = i.indexrelid
    where c.relkind = 'i'
    group by i.indrelid
),
newer as materialized (
    select c.oid, (to_jsonb(c) ->> 'relallfrozen')::bigint as frozen_pages
    from pg_class as c
    where current_setting('server_version_num')::int >= 180000
        and c.relkind in ('r', 'm')
)
select
    c.oid,
    n.nspname as schema,
    c.relname as "table",
    c.relkind as kind,
    n.nspname in ('pg_catalog', 'information_schema') as is_system,
    c.relispopulated as is_populated,
    coalesce(c.reloptions, '{}') as options,
    nullif(c.reltuples, -1)::float8 as tuples,
    coalesce(case when l.relation is null then pg_relation_size(c.oid) end, c.relpages * b.bytes) as size_bytes,
    c.relpages as pages,
    c.relallvisible as visible_pages,
    w.frozen_pages,
    coalesce(x.pages, 0) * b.bytes as index_bytes,
    coalesce(x.scans, 0) as index_scans,
    pg_stat_get_live_tuples(c.oid) as live_rows,
    pg_stat_get_dead_tuples(c.oid) as dead_rows,
    pg_stat_get_ins_since_vacuum(c.oid) as inserted_rows,
    pg_stat_get_mod_since_analyze(c.oid) as modified_rows,
    greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) as vacuumed_at,
    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) as analyzed_at,
    case when c.relkind <> 'p' then age(c.relfrozenxid) else 0 end as xid_age,
    case when c.relkind <> 'p' then mxid_age(c.relminmxid) else 0 end as multixact_age,
    c.oid in (select relid from worked) or coalesce(t.oid in (select relid from worked), false) as is_worked_on,
    nullif(c.reltoastrelid, 0::oid) as toast_oid,
    coalesce(t.reloptions, '{}') as toast_options,
    nullif(t.reltuples, -1)::float8 as toast_tuples,
    coalesce(case when lt.relation is null then pg_relation_size(t.oid) end, t.relpages * b.bytes, 0) as toast_bytes,
    coalesce(pg_stat_get_dead_tuples(t.oid), 0) as toast_dead_rows,
    coalesce(pg_stat_get_ins_since_vacuum(t.oid), 0) as toast_inserted_rows,
    coalesce(age(t.relfrozenxid), 0) as toast_xid_age,
    coalesce(mxid_age(t.relminmxid), 0) as toast_multixact_age
from pg_class as c
cross join block as b
join pg_namespace as n on n.oid = c.relnamespace
left join locked as l on l.relation = c.oid
left join newer as w on w.oid = c.oid
left join indexes as x on x.indrelid = c.oid
left join pg_class as t on t.oid = c.reltoastrelid
left join locked as lt on lt.relation = t.oid
where c.relkind in ('r', 'm', 'p')
    and c.relpersistence <> 't'
order by n.nspname, c.relname
