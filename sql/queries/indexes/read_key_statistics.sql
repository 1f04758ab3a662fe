-- What ANALYZE noted of the keys of some indexes, one row a key, in their order; a key without statistics, or whose
-- statistics the role may not see, has none. The view is read once, because the planner knows nothing of its size.
with keys as materialized (
    select
        i.indexrelid as oid,
        k.position,
        n.nspname as schema,
        case when k.attnum = 0 then c.relname else t.relname end as relation,
        a.attname as attribute,
        coalesce(nullif(a.attstattarget, -1), current_setting('default_statistics_target')::integer) as target
    from pg_index as i
    join pg_class as t on t.oid = i.indrelid
    join pg_class as c on c.oid = i.indexrelid
    join pg_namespace as n on n.oid = t.relnamespace
    cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
    join pg_attribute as a
        on a.attrelid = case when k.attnum = 0 then i.indexrelid else i.indrelid end
        and a.attnum = case when k.attnum = 0 then k.position else k.attnum end
    where i.indexrelid = any(%(oids)s::oid[])
        and k.position <= i.indnkeyatts
),
noted as materialized (
    select schemaname, tablename, attname, null_frac, n_distinct, most_common_freqs
    from pg_stats
    where not inherited
        and tablename in (select relation from keys)
)
select
    keys.oid,
    noted.null_frac as null_fraction,
    noted.n_distinct,
    coalesce(noted.most_common_freqs, '{}') as common_fractions,
    keys.target
from keys
join noted
    on noted.schemaname = keys.schema
    and noted.tablename = keys.relation
    and noted.attname = keys.attribute
order by keys.oid, keys.position
