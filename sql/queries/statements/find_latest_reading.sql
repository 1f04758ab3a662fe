select r.id, r.window_key, r.taken_at, r.stats_reset_at, r.deallocations
from herald.statement_reading as r
where r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
order by r.id desc
limit 1
