insert into herald.statement_text (database, system_identifier, database_oid, query_id, query)
select %(database)s, %(system_identifier)s, %(database_oid)s, given.query_id::bigint, given.query
from jsonb_each_text(%(texts)s::jsonb) as given (query_id, query)
on conflict (database, system_identifier, database_oid, query_id) do nothing
