-- Every b-tree with pages of its own, system catalogs' too, the largest first.
select
    c.oid::bigint as oid,
    c.oid::regclass::text as name,
    pg_relation_size(c.oid) as size_bytes
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_am as a on a.oid = c.relam
where a.amname = 'btree'
    and c.relkind = 'i'
    and c.relpersistence <> 't'
    and i.indisvalid
    and i.indisready
order by pg_relation_size(c.oid) desc, c.oid
