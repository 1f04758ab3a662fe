-- The index of a table that bears a name; REINDEX CONCURRENTLY gives the name to an index with another oid.
select c.oid
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s
  and c.relname = %(index)s
  and i.indrelid = %(table_oid)s
