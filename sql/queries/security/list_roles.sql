-- 10 is the oid of the role that initdb makes. From 16 on a member may have neither the rights of the role, nor become it, nor
-- give itself that.
select
    format('%%I', r.rolname) as name,
    r.oid = 10 as is_bootstrap,
    r.rolsuper as is_superuser,
    r.rolcanlogin as can_login,
    r.rolbypassrls as bypasses_rls,
    r.rolcreaterole as creates_roles,
    r.rolreplication as replicates,
    coalesce(r.rolvaliduntil = 'infinity', true) as never_expires,
    array(
        select format('%%I', s.rolname)
        from pg_catalog.pg_roles s
        where s.rolsuper and not r.rolsuper and case
              when current_setting('server_version_num')::int < 160000 then pg_has_role(r.oid, s.oid, 'member')
              else pg_has_role(r.oid, s.oid, 'usage, set, member with admin option')
          end
        order by s.rolname
    ) as superusers,
    array(
        select format('%%I', s.rolname)
        from pg_catalog.pg_roles s
        where s.rolname in ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
          and not r.rolsuper
          and case
              when current_setting('server_version_num')::int < 160000 then pg_has_role(r.oid, s.oid, 'member')
              else pg_has_role(r.oid, s.oid, 'usage, set, member with admin option')
          end
        order by s.rolname
    ) as server_access
from pg_catalog.pg_roles r
where r.rolname !~ '^pg_'
order by r.rolname
