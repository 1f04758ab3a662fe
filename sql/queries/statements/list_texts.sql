select t.query_id, t.query
from herald.statement_text as t
where t.database = %(database)s
    and t.system_identifier = %(system_identifier)s
    and t.database_oid = %(database_oid)s
    and t.query_id = any(%(query_ids)s::bigint[])
