select
    format('%%I', r.rolname) as owner,
    (select format('%%I', n.nspname) from pg_catalog.pg_namespace n where n.oid = d.defaclnamespace) as schema,
    case d.defaclobjtype when 'S' then 'sequence' else 'table' end as kind,
    array_agg(a.privilege_type order by a.privilege_type) as privileges
from pg_catalog.pg_default_acl d
join pg_catalog.pg_roles r on r.oid = d.defaclrole
cross join lateral aclexplode(d.defaclacl) a
where a.grantee = 0 and d.defaclobjtype in ('r', 'S')
group by r.rolname, d.defaclnamespace, d.defaclobjtype
order by 1, 2, 3
