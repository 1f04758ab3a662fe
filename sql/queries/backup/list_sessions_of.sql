-- Sessions in a database. Processes without a role (autovacuum) make way by themselves for whoever renames it.
select
    a.pid,
    a.usename::text as role,
    coalesce(a.application_name, '') as application,
    coalesce(r.rolsuper, false) as is_superuser,
    me.rolsuper
    or (
        not coalesce(r.rolsuper, false)
        and (pg_has_role(a.usesysid, 'USAGE') or pg_has_role('pg_signal_backend', 'USAGE'))
    ) as may_end
from pg_stat_activity as a
left join pg_roles as r on r.oid = a.usesysid
join pg_roles as me on me.rolname = current_user
where a.datid = %(oid)s::oid and a.usesysid is not null and a.pid <> pg_backend_pid()
order by a.pid
