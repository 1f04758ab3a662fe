-- The columns and expressions that are in indexes, each once, with the names under which pg_stats has their statistics:
-- those of an expression are a column of the index itself.
select
    a.attrelid as relation_oid,
    a.attnum,
    quote_ident(a.attname) as definition,
    case
        when coalesce(base.typtype, type.typtype) = 'e' then 'enum'
        else coalesce(base.typname, type.typname)
    end as type_name,
    n.nspname as schema,
    c.relname as relation,
    a.attname as attribute
from (
    select distinct
        case when k.attnum = 0 then i.indexrelid else i.indrelid end as relation,
        case when k.attnum = 0 then k.position else k.attnum end as attnum
    from pg_index as i
    cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
) as used
join pg_attribute as a on a.attrelid = used.relation and a.attnum = used.attnum
join pg_class as c on c.oid = a.attrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_type as type on type.oid = a.atttypid
left join pg_type as base on base.oid = nullif(type.typbasetype, 0)
where c.relpersistence <> 't'
    and n.nspname not like 'pg\_%%'
    and n.nspname <> 'information_schema'
