-- Each partition with the partitioned table that it is attached to.
select i.inhparent as parent_oid, i.inhrelid as child_oid
from pg_inherits as i
join pg_class as p on p.oid = i.inhparent
where p.relkind = 'p'
