select
    d.oid::bigint as oid, d.datname::text as name, d.datallowconn as allows_connections,
    shobj_description(d.oid, 'pg_database') as comment
from pg_database as d
order by d.datname
