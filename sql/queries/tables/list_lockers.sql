-- Who holds a lock on a table, or its TOAST table, that VACUUM and ANALYZE would have to wait for: any that conflicts with
-- SHARE UPDATE EXCLUSIVE.
select distinct
    coalesce(
        format('pid %%s, %%s as %%s, %%s', a.pid, coalesce(nullif(a.application_name, ''), a.backend_type), a.usename, l.mode),
        format('a prepared transaction, %%s', l.mode)
    ) as locker
from pg_locks as l
left join pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'relation'
    and l.granted
    and l.mode in (
        'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'
    )
    and l.database in (0, (select oid from pg_database where datname = current_database()))
    and l.relation in (
        select unnest(array[c.oid, c.reltoastrelid]) from pg_class as c where c.oid = %(oid)s
    )
    and l.pid is distinct from pg_backend_pid()
order by locker
