-- The names in a body of BEGIN ATOMIC (prosqlbody) were resolved when it was made.
select
    format('%%I.%%I(%%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name,
    format('%%I', r.rolname) as owner,
    r.rolsuper as owner_is_superuser,
    (
        select substr(c.setting, length('search_path=') + 1)
        from unnest(p.proconfig) as c (setting)
        where c.setting like 'search_path=%%'
    ) as search_path,
    (
        p.proacl is null or exists (
            select from aclexplode(p.proacl) a where a.grantee = 0 and a.privilege_type = 'EXECUTE'
        )
    ) and exists (
        select from aclexplode(n.nspacl) a where a.grantee = 0 and a.privilege_type = 'USAGE'
    ) as is_public,
    p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) as is_trigger,
    (
        select format('%%I', e.extname)
        from pg_catalog.pg_depend d
        join pg_catalog.pg_extension e on e.oid = d.refobjid
        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
          and d.refclassid = 'pg_catalog.pg_extension'::regclass
    ) as extension
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_roles r on r.oid = p.proowner
where p.prosecdef
  and p.prosqlbody is null
  and n.nspname !~ '^pg_'
  and n.nspname <> 'information_schema'
order by 1
