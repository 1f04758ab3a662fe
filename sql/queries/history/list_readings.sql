select id, servers
from herald.counter_reading
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
  and taken_at >= %(since)s
order by id
