-- Of extension versions 1.11 and later. Without the texts, which lie in a file of their own.
select
    s.userid::bigint as user_oid,
    s.queryid as query_id,
    s.toplevel,
    s.calls,
    s.rows,
    s.total_exec_time / 1000 as exec_seconds,
    s.total_plan_time / 1000 as plan_seconds,
    s.shared_blks_hit as blocks_hit,
    s.shared_blks_read as blocks_read,
    s.shared_blk_read_time / 1000 as read_seconds,
    s.temp_blks_read + s.temp_blks_written as temp_blocks,
    s.wal_bytes::bigint as wal_bytes,
    s.stats_since as since
from pg_stat_statements(false) as s
where s.dbid = (select d.oid from pg_database as d where d.datname = current_database())
    and s.queryid is not null
