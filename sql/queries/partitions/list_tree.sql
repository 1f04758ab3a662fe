-- A table and the partitions below it.
select c.oid::bigint as oid, n.nspname as schema, c.relname as name, c.relkind as kind, c.relpersistence = 'u' as is_unlogged,
    c.reltuples::float8 as estimated_rows, coalesce(pg_table_size(c.oid), 0)::bigint as size_bytes
from (
    select %(oid)s::oid as oid
    union
    select relid from pg_partition_tree(%(oid)s::oid::regclass)
) as t
join pg_class as c on c.oid = t.oid
join pg_namespace as n on n.oid = c.relnamespace
order by c.oid <> %(oid)s, c.oid
