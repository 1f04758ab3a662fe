insert into herald.statement_counter (
    database, system_identifier, database_oid, user_oid, query_id, toplevel, counting_since,
    calls, rows, exec_seconds, plan_seconds, blocks_hit, blocks_read, read_seconds, temp_blocks, wal_bytes
)
select %(database)s, %(system_identifier)s, %(database_oid)s, g.*
from unnest(
    %(user_oid)s::bigint[],
    %(query_id)s::bigint[],
    %(toplevel)s::boolean[],
    %(counting_since)s::timestamptz[],
    %(calls)s::bigint[],
    %(rows)s::bigint[],
    %(exec_seconds)s::double precision[],
    %(plan_seconds)s::double precision[],
    %(blocks_hit)s::bigint[],
    %(blocks_read)s::bigint[],
    %(read_seconds)s::double precision[],
    %(temp_blocks)s::bigint[],
    %(wal_bytes)s::bigint[]
) as g (user_oid, query_id, toplevel, counting_since, calls, rows, exec_seconds, plan_seconds, blocks_hit, blocks_read, read_seconds, temp_blocks, wal_bytes)
on conflict (database, system_identifier, database_oid, query_id, toplevel, user_oid) do update set
    counting_since = excluded.counting_since,
    calls = excluded.calls,
    rows = excluded.rows,
    exec_seconds = excluded.exec_seconds,
    plan_seconds = excluded.plan_seconds,
    blocks_hit = excluded.blocks_hit,
    blocks_read = excluded.blocks_read,
    read_seconds = excluded.read_seconds,
    temp_blocks = excluded.temp_blocks,
    wal_bytes = excluded.wal_bytes
