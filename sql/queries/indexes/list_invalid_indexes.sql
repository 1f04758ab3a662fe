-- Indexes that are not valid and hold data themselves: what failed and interrupted builds leave.
select
    c.oid,
    n.nspname as schema,
    c.relname as index,
    i.indrelid as table_oid,
    pg_relation_size(c.oid) as size_bytes
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
where not i.indisvalid
  and c.relkind = 'i'
order by c.oid
