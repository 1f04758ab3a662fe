-- Every partitioned table, with what it is partitioned by.
select
    c.oid::bigint as oid,
    n.nspname as schema,
    c.relname as name,
    p.partstrat as strategy,
    p.partnatts::int as keys,
    a.attname as key,
    case when a.attname is not null then format_type(a.atttypid, a.atttypmod) end as key_type,
    t.typname as type_name,
    p.partdefid::bigint as default_oid,
    (select array_agg(pub.pubname::text order by pub.pubname)
       from pg_publication_rel as r join pg_publication as pub on pub.oid = r.prpubid
      where r.prrelid = c.oid) as publications,
    (select array_agg(format('%%I on %%s', f.conname, f.conrelid::regclass) order by f.conname)
       from pg_constraint as f
      where f.confrelid = c.oid and f.contype = 'f' and f.conparentid = 0) as referenced_by
from pg_partitioned_table as p
join pg_class as c on c.oid = p.partrelid
join pg_namespace as n on n.oid = c.relnamespace
left join pg_attribute as a on a.attrelid = c.oid and a.attnum = p.partattrs[0] and a.attnum > 0
left join pg_type as t on t.oid = a.atttypid
order by n.nspname, c.relname
