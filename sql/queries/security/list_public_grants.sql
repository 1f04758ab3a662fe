-- Of tables and of single columns. What an extension grants on its own objects, such as its statistics, is its business.
select
    format('%%I.%%I', n.nspname, c.relname) as name,
    case c.relkind
        when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' when 'f' then 'foreign table'
        else 'table'
    end as kind,
    array_agg(distinct g.privilege_type order by g.privilege_type) as privileges,
    coalesce(bool_or(reach.is_open), false) as is_reachable
from (
    select c.oid, a.privilege_type
    from pg_catalog.pg_class c
    cross join lateral aclexplode(c.relacl) a
    where c.relacl is not null and a.grantee = 0
    union
    select c.attrelid, a.privilege_type
    from pg_catalog.pg_attribute c
    cross join lateral aclexplode(c.attacl) a
    where c.attacl is not null and a.grantee = 0 and not c.attisdropped
) g
join pg_catalog.pg_class c on c.oid = g.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select exists (
        select from aclexplode(n.nspacl) a where a.grantee = 0 and a.privilege_type = 'USAGE'
    ) as is_open
) reach
where n.nspname !~ '^pg_'
  and n.nspname <> 'information_schema'
  and not exists (
      select
      from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
group by n.nspname, c.relname, c.relkind
order by n.nspname, c.relname
