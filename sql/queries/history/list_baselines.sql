select index_oid, relfilenode, size_bytes, tuples
from herald.index_baseline
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
