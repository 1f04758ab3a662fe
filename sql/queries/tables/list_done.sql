-- Tables that a task has done in a window already: what a later run of the window need not do again.
select distinct object_oid as oid
from herald.maintenance_log
where database = %(database)s
    and system_identifier = %(system_identifier)s
    and database_oid = %(database_oid)s
    and task = %(task)s
    and window_key = %(window)s
    and outcome = 'done'
    and object_oid is not null
