-- One row a column of an index, keys first, then INCLUDE columns, with the names under which pg_stats has its statistics:
-- those of an expression are under the index's own name.
-- Writing an expression out takes a share lock on the table; of one that somebody locks exclusively it is left out.
with locked as materialized (
    select distinct relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database = (select oid from pg_database where datname = current_database())
)
select
    i.indexrelid as oid,
    k.position > i.indnkeyatts as is_included,
    case
        when k.attnum = 0 then pg_get_indexdef(i.indexrelid, k.position::integer, true)
        else quote_ident(column_of.attname)
    end as definition,
    k.attnum,
    coalesce(base.typname, type.typname) as type_name,
    i.indclass[k.position - 1] as opclass,
    i.indcollation[k.position - 1] as collation,
    i.indoption[k.position - 1] as options,
    -- _bt_allequalimage(): a key may be deduplicated when its operator family has support function 4 for the type, and
    -- equal means identical bytes, which a nondeterministic collation denies.
    exists (
        select
        from pg_opclass as oc
        join pg_amproc as p
            on p.amprocfamily = oc.opcfamily
            and p.amproclefttype = oc.opcintype
            and p.amprocrighttype = oc.opcintype
            and p.amprocnum = 4
        where oc.oid = i.indclass[k.position - 1]
    ) and coalesce(co.collisdeterministic, true) as is_equal_image,
    n.nspname as schema,
    case when k.attnum = 0 then c.relname else t.relname end as relation,
    case when k.attnum = 0 then own.attname else column_of.attname end as attribute
from pg_index as i
join pg_class as t on t.oid = i.indrelid
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = t.relnamespace
cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
join pg_attribute as own on own.attrelid = i.indexrelid and own.attnum = k.position
left join pg_attribute as column_of on column_of.attrelid = i.indrelid and column_of.attnum = k.attnum and k.attnum <> 0
join pg_type as type on type.oid = coalesce(column_of.atttypid, own.atttypid)
left join pg_type as base on base.oid = nullif(type.typbasetype, 0)
left join pg_collation as co on co.oid = i.indcollation[k.position - 1]
left join locked as l on l.relation = t.oid
where t.relkind in ('r', 'm', 'p')
    and (l.relation is null or i.indexprs is null)
    and t.relpersistence <> 't'
    and n.nspname not like 'pg\_%%'
    and n.nspname <> 'information_schema'
order by i.indexrelid, k.position
