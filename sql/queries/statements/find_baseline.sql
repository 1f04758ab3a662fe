select b.id, b.window_key, b.since, b.until, b.windows
from herald.performance_baseline as b
where b.database = %(database)s
    and b.system_identifier = %(system_identifier)s
    and b.database_oid = %(database_oid)s
    and b.window_key <> %(without_window)s
order by b.id desc
limit 1
