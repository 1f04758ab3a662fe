-- Roles with the hashes of their passwords: for superusers only.
select
    rolname as name, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
    rolconnlimit, rolvaliduntil::text as valid_until, rolpassword as password,
    shobj_description(oid, 'pg_authid') as comment
from pg_authid
where rolname !~ '^pg_'
order by rolname
