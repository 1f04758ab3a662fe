select r.oid::bigint as oid, r.rolname as name
from pg_roles as r
