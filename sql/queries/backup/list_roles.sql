-- Roles as anybody may see them; without their passwords.
select
    rolname as name, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
    rolconnlimit, rolvaliduntil::text as valid_until, null as password, shobj_description(oid, 'pg_authid') as comment
from pg_roles
where rolname !~ '^pg_'
order by rolname
