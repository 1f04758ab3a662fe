-- Every partition of every partitioned table in one pass, from the catalog alone: nobody's lock on one of them is waited for.
-- Bounds are text in the session's time zone and date style. Sizes and rows are those of the last VACUUM or ANALYZE.
select
    c.oid::bigint as oid,
    i.inhparent::bigint as parent_oid,
    n.nspname as schema,
    c.relname as name,
    c.relkind as kind,
    -- A bound has no columns, so it needs no relation, which would be opened.
    pg_get_expr(c.relpartbound, 0) as bound,
    i.inhdetachpending as is_detach_pending,
    (greatest(c.relpages, 0) + coalesce(t.relpages, 0) + coalesce(x.pages, 0)) * current_setting('block_size')::bigint as size_bytes,
    greatest(c.reltuples, 0)::bigint as estimated_rows,
    case when p.partdefid = c.oid then pg_stat_get_live_tuples(c.oid) end as live_rows
from pg_inherits as i
join pg_partitioned_table as p on p.partrelid = i.inhparent
join pg_class as c on c.oid = i.inhrelid
join pg_namespace as n on n.oid = c.relnamespace
left join pg_class as t on t.oid = c.reltoastrelid
left join (
    select d.indrelid, sum(e.relpages)::bigint as pages
    from pg_index as d
    join pg_class as e on e.oid = d.indexrelid
    group by d.indrelid
) as x on x.indrelid = c.oid
-- A partitioned index has children too, and no row in pg_partitioned_table.
where c.relkind in ('r', 'p', 'f')
order by i.inhparent, c.oid
