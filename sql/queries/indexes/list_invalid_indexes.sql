-- Indexes that are not valid and hold data themselves: what failed and interrupted builds leave. Takes no lock on any
-- of them, so that one table which somebody has locked keeps nobody from seeing the others.
select
    c.oid,
    n.nspname as schema,
    c.relname as index,
    i.indrelid as table_oid,
    current_user as role,
    -- To drop an index is its owner's, or that of its schema's; pg_maintain does not include it.
    pg_has_role(c.relowner, 'usage') or pg_has_role(n.nspowner, 'usage') as may_drop
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
where not i.indisvalid
  and c.relkind = 'i'
order by c.oid
