-- The indexes of a table itself, as pg_restore lists them.
select n.nspname || ' ' || c.relname as name
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
where i.indrelid = %(oid)s
order by 1
