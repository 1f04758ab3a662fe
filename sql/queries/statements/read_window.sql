select min(r.since) as since, max(r.taken_at) as until, sum(r.evictions)::bigint as evictions, bool_or(r.was_reset) as was_reset
from herald.statement_reading as r
where r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
    and r.window_key = %(window)s
