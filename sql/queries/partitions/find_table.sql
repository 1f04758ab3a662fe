-- A table, view or other relation by its name.
select c.oid::bigint as oid, c.relkind as kind, c.relispartition as is_partition
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s
