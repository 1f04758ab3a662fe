-- Indexes and constraints of a partition that its parent does not hand on; `definition` is what follows the table's name.
select
    c.relname as name,
    i.indisunique as is_unique,
    coalesce(s.spcname, '') as tablespace,
    pg_get_constraintdef(k.oid) as constraint_definition,
    case when left(pg_get_indexdef(i.indexrelid), length(p.prefix)) = p.prefix
         then substr(pg_get_indexdef(i.indexrelid), length(p.prefix) + 1) end as definition
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_class as r on r.oid = i.indrelid
join pg_namespace as n on n.oid = r.relnamespace
left join pg_tablespace as s on s.oid = c.reltablespace
left join pg_constraint as k on k.conindid = i.indexrelid and k.conrelid = i.indrelid and k.contype in ('p', 'u', 'x')
cross join lateral (
    select format('CREATE %%sINDEX %%I ON %%I.%%I ', case when i.indisunique then 'UNIQUE ' end, c.relname, n.nspname, r.relname)
) as p (prefix)
where i.indrelid = %(oid)s
  and i.indisvalid
  and not exists (select from pg_inherits as h where h.inhrelid = i.indexrelid)
order by c.relname
