select format('%%I', n.nspname) as name
from pg_catalog.pg_namespace n
cross join lateral aclexplode(n.nspacl) a
where a.grantee = 0
  and a.privilege_type = 'CREATE'
  and n.nspname !~ '^pg_'
  and n.nspname <> 'information_schema'
order by n.nspname
