insert into herald.performance_baseline_query (
    baseline_id, query_id, toplevel, highest_mean_seconds, windows, calls, rows, exec_seconds, plan_seconds, blocks_hit, blocks_read, read_seconds, temp_blocks, wal_bytes
)
select %(baseline_id)s, g.*
from unnest(
    %(query_id)s::bigint[],
    %(toplevel)s::boolean[],
    %(highest_mean_seconds)s::double precision[],
    %(windows)s::integer[],
    %(calls)s::bigint[],
    %(rows)s::bigint[],
    %(exec_seconds)s::double precision[],
    %(plan_seconds)s::double precision[],
    %(blocks_hit)s::bigint[],
    %(blocks_read)s::bigint[],
    %(read_seconds)s::double precision[],
    %(temp_blocks)s::bigint[],
    %(wal_bytes)s::bigint[]
) as g (query_id, toplevel, highest_mean_seconds, windows, calls, rows, exec_seconds, plan_seconds, blocks_hit, blocks_read, read_seconds, temp_blocks, wal_bytes)
