-- Whether a table is a partition, and whether its detaching is pending.
select c.relispartition as is_partition, coalesce(i.inhdetachpending, false) as is_detach_pending, n.nspname as schema, c.relname as name
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
left join pg_inherits as i on i.inhrelid = c.oid
where c.oid = %(oid)s
