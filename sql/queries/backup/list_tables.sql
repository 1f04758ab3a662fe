-- Tables as they will be dumped; those of extensions come with their extension.
select
    n.nspname as schema_name,
    c.relname as name,
    c.relkind::text as kind,
    c.relpersistence = 'u' as is_unlogged,
    c.reltuples::float8 as estimated_rows,
    -- null where somebody has dropped it since the snapshot
    coalesce(case when c.relkind in ('p', 'f') then 0 else pg_table_size(c.oid) end, 0) as size_bytes
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm', 'f')
    and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname !~ '^pg_(toast|temp)'
    and not exists (
        select
        from pg_depend as d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
order by n.nspname, c.relname
