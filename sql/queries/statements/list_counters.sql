select c.user_oid, c.query_id, c.toplevel, c.counting_since as since,
    c.calls, c.rows, c.exec_seconds, c.plan_seconds, c.blocks_hit, c.blocks_read, c.read_seconds, c.temp_blocks, c.wal_bytes
from herald.statement_counter as c
where c.database = %(database)s
    and c.system_identifier = %(system_identifier)s
    and c.database_oid = %(database_oid)s
