insert into herald.statement_delta (
    reading_id, user_name, user_oid, query_id, toplevel, calls, rows, exec_seconds, plan_seconds, blocks_hit, blocks_read, read_seconds, temp_blocks, wal_bytes
)
select %(reading_id)s, coalesce(%(user_names)s::jsonb ->> g.user_oid::text, g.user_oid::text), g.*
from unnest(
    %(user_oid)s::bigint[],
    %(query_id)s::bigint[],
    %(toplevel)s::boolean[],
    %(calls)s::bigint[],
    %(rows)s::bigint[],
    %(exec_seconds)s::double precision[],
    %(plan_seconds)s::double precision[],
    %(blocks_hit)s::bigint[],
    %(blocks_read)s::bigint[],
    %(read_seconds)s::double precision[],
    %(temp_blocks)s::bigint[],
    %(wal_bytes)s::bigint[]
) as g (user_oid, query_id, toplevel, calls, rows, exec_seconds, plan_seconds, blocks_hit, blocks_read, read_seconds, temp_blocks, wal_bytes)
