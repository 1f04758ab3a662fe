-- Foreign keys of a partitioned table that a plain table lacks, and whether it has got one of that name that nothing proved.
select
    f.conname as name,
    pg_get_constraintdef(f.oid) as definition,
    exists (select from pg_constraint as l where l.conrelid = %(oid)s and l.conname = f.conname and not l.convalidated) as is_left
from pg_constraint as f
where f.conrelid = %(parent)s
  and f.contype = 'f'
  and f.convalidated
  -- One to a partitioned table has a further row for each of its partitions.
  and not exists (select from pg_constraint as u where u.oid = f.conparentid and u.conrelid = f.conrelid)
  and exists (select from pg_class as c where c.oid = %(oid)s and c.relkind = 'r')
  and not exists (
      select from pg_constraint as o
      where o.conrelid = %(oid)s and o.contype = 'f' and o.convalidated
        and pg_get_constraintdef(o.oid) = pg_get_constraintdef(f.oid)
  )
order by f.conname
