-- Who is a member of which role; since 16 each with its own options.
select
    g.rolname as role,
    m.rolname as member,
    a.admin_option,
    (to_jsonb(a) ->> 'inherit_option')::boolean as inherit_option,
    (to_jsonb(a) ->> 'set_option')::boolean as set_option
from pg_auth_members as a
join pg_roles as g on g.oid = a.roleid
join pg_roles as m on m.oid = a.member
where m.rolname !~ '^pg_'
order by g.rolname, m.rolname
