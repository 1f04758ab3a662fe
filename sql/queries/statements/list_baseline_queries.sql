select q.query_id, q.toplevel, q.calls, q.rows, q.exec_seconds, q.plan_seconds, q.blocks_hit, q.blocks_read, q.read_seconds, q.temp_blocks, q.wal_bytes,
    q.highest_mean_seconds, q.windows
from herald.performance_baseline_query as q
where q.baseline_id = %(baseline_id)s
