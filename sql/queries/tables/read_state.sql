-- One table as it is now, for a before and an after: times only of what was asked for, because autovacuum's prove nothing of
-- ours. The counters are those of VACUUM and ANALYZE by hand.
select
    n.nspname as schema,
    c.relname as "table",
    c.relkind as kind,
    pg_stat_get_dead_tuples(c.oid) as dead_rows,
    pg_stat_get_vacuum_count(c.oid) as vacuums,
    pg_stat_get_analyze_count(c.oid) as analyzes,
    greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) as vacuumed_at,
    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) as analyzed_at,
    c.relpages as pages,
    c.relallvisible as visible_pages,
    case when c.relkind <> 'p' then age(c.relfrozenxid) else 0 end as xid_age,
    case when c.relkind <> 'p' then mxid_age(c.relminmxid) else 0 end as multixact_age,
    coalesce(pg_stat_get_dead_tuples(t.oid), 0) as toast_dead_rows,
    coalesce(pg_stat_get_vacuum_count(t.oid), 0) as toast_vacuums,
    coalesce(age(t.relfrozenxid), 0) as toast_xid_age,
    coalesce(mxid_age(t.relminmxid), 0) as toast_multixact_age
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
left join pg_class as t on t.oid = c.reltoastrelid
where c.oid = %(oid)s
