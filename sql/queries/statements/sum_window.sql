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
    sum(d.wal_bytes)::bigint as wal_bytes
from herald.statement_reading as r
join herald.statement_delta as d on d.reading_id = r.id
where r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
    and r.window_key = %(window)s
group by d.query_id, d.toplevel
