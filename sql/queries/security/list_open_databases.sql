-- The one that is read, where every role may create schemas in it.
select format('%%I', d.datname) as name
from pg_catalog.pg_database d
cross join lateral aclexplode(d.datacl) a
where d.datname = current_database()
  and a.grantee = 0
  and a.privilege_type = 'CREATE'
