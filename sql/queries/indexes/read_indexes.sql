-- One row an index of the database's own tables: no system schema, no temporary table, no TOAST.
-- Nobody is waited for, and no index is left out for a lock. Sizes take a share lock for a moment: of what is locked
-- exclusively they are those that the last VACUUM or ANALYZE noted. So do definitions, which are then null, and expressions,
-- which are then given as the catalog holds them. Counters are read by the functions under the statistics views, and columns
-- of newer versions through to_jsonb.
with locked as materialized (
    select distinct relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database = (select oid from pg_database where datname = current_database())
),
block as materialized (
    select current_setting('block_size')::bigint as bytes
),
tables as materialized (
    select
        c.oid,
        n.nspname,
        c.relname,
        l.relation is not null as is_locked,
        nullif(c.reltuples, -1) as tuples,
        case
            when c.relkind = 'p' then 0
            else coalesce(
                case when l.relation is null then pg_relation_size(c.oid) end, c.relpages * (select bytes from block)
            )
        end as bytes,
        greatest(c.relpages, 1) * (select bytes from block) as counted_bytes,
        pg_stat_get_live_tuples(c.oid)::float8 as live_rows,
        pg_stat_get_dead_tuples(c.oid)::float8 as dead_rows,
        pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid)
            as writes,
        pg_stat_get_numscans(c.oid) as sequential_scans
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    left join locked as l on l.relation = c.oid
    -- relhasindex forgets an index whose build failed.
    where exists (select from pg_index as i where i.indrelid = c.oid)
        and c.relkind in ('r', 'm', 'p')
        and c.relpersistence <> 't'
        and n.nspname not like 'pg\_%%'
        and n.nspname <> 'information_schema'
)
select
    i.indexrelid as oid,
    t.nspname as schema,
    t.relname as "table",
    t.oid as table_oid,
    c.relname as name,
    a.amname as access_method,
    case when not t.is_locked then pg_get_indexdef(i.indexrelid) end as definition,
    case
        when c.relkind = 'I' then 0
        else coalesce(
            case when li.relation is null then pg_relation_size(i.indexrelid) end,
            c.relpages * (select bytes from block)
        )
    end as size_bytes,
    -- A GIN index counts its entries when it is built, and the table's rows from then on.
    least(nullif(c.reltuples, -1), case when a.amname = 'gin' then t.tuples end) as tuples,
    coalesce(pg_relation_filenode(i.indexrelid), 0) as relfilenode,
    c.reloptions as storage_options,
    i.indkey::text as attnums,
    i.indnkeyatts as key_count,
    i.indclass::text as opclasses,
    i.indcollation::text as collations,
    i.indoption::text as options,
    case when i.indexprs is not null then array(
        select coalesce(case when not t.is_locked then pg_get_indexdef(i.indexrelid, n, true) end, i.indexprs::text)
        from generate_series(1, i.indnatts) as n
    ) end as expressions,
    -- _bt_allequalimage(): keys may be deduplicated when their operator families have support function 4 for their types, and
    -- equal means identical bytes, which a nondeterministic collation denies.
    a.amname = 'btree' and not exists (
        select
        from unnest(i.indclass::oid[], i.indcollation::oid[]) as k (opclass, coll)
        where k.opclass not in (
            select oc.oid
            from pg_opclass as oc
            join pg_amproc as p
                on p.amprocfamily = oc.opcfamily
                and p.amproclefttype = oc.opcintype
                and p.amprocrighttype = oc.opcintype
                and p.amprocnum = 4
        )
            or k.coll in (select co.oid from pg_collation as co where not co.collisdeterministic)
    ) as is_equal_image,
    coalesce(case when not t.is_locked then pg_get_expr(i.indpred, i.indrelid, true) end, i.indpred::text) as predicate,
    i.indisunique as is_unique,
    i.indisprimary as is_primary,
    i.indisexclusion as is_exclusion,
    i.indimmediate as is_immediate,
    case when i.indisunique then coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) else false end
        as nulls_not_distinct,
    i.indisvalid as is_valid,
    i.indisready as is_ready,
    i.indisclustered as is_clustered,
    i.indisreplident as is_replica_identity,
    c.relkind = 'I' as is_partitioned,
    parent.inhparent as parent_oid,
    case when i.indisunique or i.indisexclusion then (
        select min(o.conname)
        from pg_constraint as o
        where o.conrelid = i.indrelid
            and o.conindid = i.indexrelid
            and o.contype in ('p', 'u', 'x')
    ) end as "constraint",
    i.indexrelid in (select f.conindid from pg_constraint as f where f.contype = 'f') as referenced_by_foreign_key,
    case when i.indrelid in (select f.conrelid from pg_constraint as f where f.contype = 'f') then (
        -- Deletes and key updates in the referenced table look the referencing rows up by the foreign key's columns.
        select min(f.conname)
        from pg_constraint as f
        where f.contype = 'f'
            and f.conrelid = i.indrelid
            and i.indpred is null
            and cardinality(f.conkey) <= i.indnkeyatts
            and f.conkey @> (i.indkey::int2[])[0:cardinality(f.conkey) - 1]
            and f.conkey <@ (i.indkey::int2[])[0:cardinality(f.conkey) - 1]
    ) end as supports_foreign_key,
    t.tuples as table_tuples,
    t.bytes as table_bytes,
    greatest(1, t.bytes::float8 / t.counted_bytes) as table_growth,
    t.live_rows,
    t.dead_rows,
    t.writes as table_writes,
    t.sequential_scans + (sum(pg_stat_get_numscans(i.indexrelid)) over (partition by i.indrelid))::bigint as table_scans,
    pg_stat_get_numscans(i.indexrelid) as scans,
    pg_stat_get_tuples_returned(i.indexrelid) as tuples_read,
    pg_stat_get_tuples_fetched(i.indexrelid) as tuples_fetched,
    pg_stat_get_blocks_hit(i.indexrelid) as blocks_hit,
    pg_stat_get_blocks_fetched(i.indexrelid) - pg_stat_get_blocks_hit(i.indexrelid) as blocks_read
from tables as t
join pg_index as i on i.indrelid = t.oid
join pg_class as c on c.oid = i.indexrelid
join pg_am as a on a.oid = c.relam
left join locked as li on li.relation = i.indexrelid
left join pg_inherits as parent on parent.inhrelid = i.indexrelid
order by t.nspname, t.relname, c.relname
