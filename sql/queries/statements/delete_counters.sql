delete from herald.statement_counter as c
using unnest(%(user_oid)s::bigint[], %(query_id)s::bigint[], %(toplevel)s::boolean[]) as g (user_oid, query_id, toplevel)
where c.database = %(database)s
    and c.system_identifier = %(system_identifier)s
    and c.database_oid = %(database_oid)s
    and c.query_id = g.query_id
    and c.toplevel = g.toplevel
    and c.user_oid = g.user_oid
