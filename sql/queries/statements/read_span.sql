select min(r.since) as since, max(r.taken_at) as until, count(distinct r.window_key)::integer as windows
from herald.statement_reading as r
where r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
    and r.taken_at >= %(from_time)s
    and r.window_key <> %(without_window)s
