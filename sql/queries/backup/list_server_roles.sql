-- Roles that are there, and whether the role of the restore may give them what it makes: 16 tells SET from membership.
select
    rolname::text as name,
    pg_has_role(oid, case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end)
    and pg_has_role(oid, 'USAGE') as may_act
from pg_roles
