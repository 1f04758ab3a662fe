-- Indexes of this very database whose server process ended without a word while it looked through them, by file on disk,
-- as long as nobody has come to a verdict since.
select
    l.object_oid as oid,
    (l.evidence ->> 'filenode')::bigint as filenode,
    count(*) as times,
    max(l.finished_at) as last_at,
    bool_or(l.window_key = %(window)s) as is_of_window
from herald.maintenance_log as l
where l.database = %(database)s
    and l.system_identifier = %(system_identifier)s
    and l.database_oid = %(database_oid)s
    and l.task = %(task)s
    and l.object_oid is not null
    and l.result ? 'connection_lost'
    and not exists (
        select from herald.maintenance_log as v
        where v.database = l.database
            and v.system_identifier = l.system_identifier
            and v.database_oid = l.database_oid
            and v.task = l.task
            and v.object_oid = l.object_oid
            and v.result ? 'sound'
            and v.id > l.id
    )
group by 1, 2
