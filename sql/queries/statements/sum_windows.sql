-- By window first: a mean over many windows hides the slow ones. Of twenty windows or more, the slowest in twenty are left
-- out: else one bad day would be usual for as long as it is in the baseline.
with by_window as (
    select
        r.window_key,
        d.query_id,
        d.toplevel,
        sum(d.calls)::bigint as calls,
        sum(d.rows)::bigint as rows,
        sum(d.exec_seconds)::double precision as exec_seconds,
        sum(d.plan_seconds)::double precision as plan_seconds,
        sum(d.blocks_hit)::bigint as blocks_hit,
        sum(d.blocks_read)::bigint as blocks_read,
        sum(d.read_seconds)::double precision as read_seconds,
        sum(d.temp_blocks)::bigint as temp_blocks,
        sum(d.wal_bytes)::bigint as wal_bytes
    from herald.statement_reading as r
    join herald.statement_delta as d on d.reading_id = r.id
    where r.database = %(database)s
        and r.system_identifier = %(system_identifier)s
        and r.database_oid = %(database_oid)s
        and r.taken_at >= %(from_time)s
        and r.window_key <> %(without_window)s
    group by r.window_key, d.query_id, d.toplevel
)
select
    d.query_id,
    d.toplevel,
    sum(d.calls)::bigint as calls,
    sum(d.rows)::bigint as rows,
    sum(d.exec_seconds)::double precision as exec_seconds,
    sum(d.plan_seconds)::double precision as plan_seconds,
    sum(d.blocks_hit)::bigint as blocks_hit,
    sum(d.blocks_read)::bigint as blocks_read,
    sum(d.read_seconds)::double precision as read_seconds,
    sum(d.temp_blocks)::bigint as temp_blocks,
    sum(d.wal_bytes)::bigint as wal_bytes,
    percentile_disc(0.95) within group (order by d.exec_seconds / d.calls) filter (where d.calls >= %(min_calls)s)
        as highest_mean_seconds,
    count(*)::integer as windows
from by_window as d
where d.calls > 0
group by d.query_id, d.toplevel
