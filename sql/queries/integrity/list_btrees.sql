-- Every b-tree with pages of its own, system catalogs' too. Sizes take a share lock for a moment: of what is locked
-- exclusively they are those that the last VACUUM or ANALYZE noted. Temporary ones are other sessions' own.
with locked as materialized (
    select distinct relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database = (select oid from pg_database where datname = current_database())
),
block as materialized (
    select current_setting('block_size')::bigint as bytes
)
select
    c.oid::bigint as oid,
    n.nspname as schema,
    c.relname as index,
    pg_relation_filenode(c.oid)::bigint as filenode,
    coalesce(case when lc.relation is null then pg_relation_size(c.oid) end, c.relpages * b.bytes) as size_bytes,
    coalesce(case when lt.relation is null then pg_relation_size(t.oid) end, t.relpages * b.bytes) as table_bytes
from pg_index as i
cross join block as b
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_class as t on t.oid = i.indrelid
join pg_am as a on a.oid = c.relam
left join locked as lc on lc.relation = c.oid
left join locked as lt on lt.relation = t.oid
where a.amname = 'btree'
    and c.relkind = 'i'
    and c.relpersistence <> 't'
    and i.indisvalid
    and i.indisready
order by n.nspname, c.relname
