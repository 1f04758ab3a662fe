select n.nspname as schema
from pg_extension as e
join pg_namespace as n on n.oid = e.extnamespace
where e.extname = 'amcheck'
