-- Where amcheck is installed, and whether the role may use it: nobody but superusers may by default.
select
    n.nspname as schema,
    current_user as role,
    has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute') as may_use
from pg_extension as e
join pg_namespace as n on n.oid = e.extnamespace
join pg_depend as d on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
join pg_proc as p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
where e.extname = 'amcheck'
    and p.proname = 'bt_index_check'
    and p.proargtypes = array['regclass'::regtype, 'bool'::regtype]::oidvector
