-- Where the extension pgstattuple is, and whether the role may use it; no row without the extension.
select
    n.nspname as schema,
    has_schema_privilege(n.oid, 'usage') and coalesce(bool_and(has_function_privilege(p.oid, 'execute')), false)
        as usable
from pg_extension as e
join pg_namespace as n on n.oid = e.extnamespace
left join pg_proc as p
    on p.pronamespace = n.oid
    and p.proname in ('pgstatindex', 'pgstattuple', 'pgstattuple_approx')
    and p.proargtypes = array['regclass'::regtype]::oidvector
where e.extname = 'pgstattuple'
group by n.oid, n.nspname
