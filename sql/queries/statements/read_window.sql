-- A reset gives its own time as the beginning of what was counted, another server's counters that of the reading before.
select
    min(r.since) as since,
    max(r.taken_at) as until,
    bool_or(r.was_reset or r.evictions > 0) as is_cut,
    bool_or(r.was_reset and r.since <> r.stats_reset_at) as is_another_servers
from herald.statement_reading as r
where r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
    and r.window_key = %(window)s
