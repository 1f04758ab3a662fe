-- What deleting rows of a table, or of the partitions below it, would run: triggers, and actions of foreign keys that refer to
-- it, which are internal triggers on the table that is referred to.
select case when t.tgisinternal then format('foreign key %%I on %%s', k.conname, k.conrelid::regclass)
            else format('trigger %%I', t.tgname) end as name
from pg_partition_tree(%(oid)s::oid::regclass) as p
join pg_trigger as t on t.tgrelid = p.relid
left join pg_constraint as k on k.oid = t.tgconstraint
where t.tgenabled <> 'D' and t.tgtype & 8 <> 0
order by 1
limit 1
