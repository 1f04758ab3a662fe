-- What is there after a restore and is not in order: indexes that are not valid, constraints that were not checked. An
-- index of a partitioned table is invalid until one of every partition is attached, in the dump as well.
select 'index' as kind, i.indexrelid::regclass::text as name
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
where not i.indisvalid and c.relkind = 'i'
union all
select 'constraint', format('%%s on %%s', k.conname, k.conrelid::regclass)
from pg_constraint as k
where not k.convalidated and k.contype in ('c', 'f', 'n')
order by 1, 2
