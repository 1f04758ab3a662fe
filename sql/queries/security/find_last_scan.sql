select max(at) as at
from herald.security_scan
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
  and task = %(task)s
  and window_key is distinct from %(window)s
