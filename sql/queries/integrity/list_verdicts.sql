-- The newest verdict on each index that was ever looked through in this very database, and whether it was in this window.
select distinct on (object_oid)
    object_oid as oid,
    finished_at as checked_at,
    (result ->> 'sound')::boolean as is_sound,
    window_key = %(window)s as is_of_window
from herald.maintenance_log
where database = %(database)s
    and system_identifier = %(system_identifier)s
    and database_oid = %(database_oid)s
    and task = %(task)s
    and object_oid is not null
    and result ? 'sound'
order by object_oid, id desc
