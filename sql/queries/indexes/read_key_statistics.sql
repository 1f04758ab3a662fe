-- What ANALYZE noted of the keys of some indexes, one row a key, in their order; a key without statistics, or whose
-- statistics the role may not see, has none.
select
    i.indexrelid as oid,
    s.null_frac as null_fraction,
    s.n_distinct,
    coalesce(s.most_common_freqs, '{}') as common_fractions,
    coalesce(nullif(coalesce(a.attstattarget, -1), -1), current_setting('default_statistics_target')::integer) as target
from pg_index as i
join pg_class as t on t.oid = i.indrelid
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = t.relnamespace
cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
join pg_attribute as a
    on a.attrelid = case when k.attnum = 0 then i.indexrelid else i.indrelid end
    and a.attnum = case when k.attnum = 0 then k.position else k.attnum end
join pg_stats as s
    on s.schemaname = n.nspname
    and s.tablename = case when k.attnum = 0 then c.relname else t.relname end
    and s.attname = a.attname
    and not s.inherited
where i.indexrelid = any(%(oids)s::oid[])
    and k.position <= i.indnkeyatts
order by i.indexrelid, k.position
