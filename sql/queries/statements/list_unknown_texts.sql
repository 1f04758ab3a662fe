select distinct g.query_id
from unnest(%(query_ids)s::bigint[]) as g (query_id)
where not exists (
    select
    from herald.statement_text as t
    where t.database = %(database)s
        and t.system_identifier = %(system_identifier)s
        and t.database_oid = %(database_oid)s
        and t.query_id = g.query_id
)
