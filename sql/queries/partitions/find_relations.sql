-- Which of some oids are tables still, and whether they are partitions; sizes as of the last VACUUM or ANALYZE.
with recursive tree (root, oid) as (
    select c.oid, c.oid from pg_class as c where c.oid = any (%(oids)s::oid[]) and c.relkind in ('r', 'p')
    union all
    select t.root, i.inhrelid from tree as t join pg_inherits as i on i.inhparent = t.oid
), parts (root, oid) as (
    select root, oid from tree
    union all
    select t.root, c.reltoastrelid from tree as t join pg_class as c on c.oid = t.oid
    union all
    select t.root, i.indexrelid from tree as t join pg_index as i on i.indrelid = t.oid
), sizes as (
    select t.root, sum(c.relpages) as pages from parts as t join pg_class as c on c.oid = t.oid group by t.root
)
select
    c.oid::bigint as oid,
    n.nspname as schema,
    c.relname as name,
    c.relkind as kind,
    c.relispartition as is_partition,
    (s.pages * current_setting('block_size')::bigint)::bigint as size_bytes
from sizes as s
join pg_class as c on c.oid = s.root
join pg_namespace as n on n.oid = c.relnamespace
