-- What a REINDEX CONCURRENTLY of an index of this table would wait for: old snapshots anywhere in this database
-- (it waits for every one that is older than its own last phase, but not for vacuums), and transactions that hold
-- a lock on the table, prepared ones included. Short transactions are not worth a wait; a dump always is,
-- ours (application_name herald:...backup...) included.
with session as (
    select
        pid,
        format(
            'pid %%s, %%s as %%s, %%s for %%s s',
            pid,
            coalesce(nullif(application_name, ''), 'unnamed'),
            usename,
            coalesce(state, backend_type),
            round(extract(epoch from clock_timestamp() - xact_start))
        ) as holder,
        backend_xmin,
        application_name,
        coalesce(extract(epoch from clock_timestamp() - xact_start), 0) as age_seconds
    from pg_stat_activity
    where datname = current_database()
      and pid <> pg_backend_pid()
      and backend_type not in ('autovacuum worker', 'autovacuum launcher')
)
select format('an old snapshot (%%s)', s.holder) as holder
from session as s
where s.backend_xmin is not null
  and (
      s.age_seconds >= %(min_age_seconds)s
      or s.application_name = 'pg_dump'
      or s.application_name like 'herald:%%backup%%'
  )
  and not exists (select from pg_stat_progress_vacuum as v where v.pid = s.pid)
union all
select format('a lock on the table (%%s)', s.holder)
from session as s
where s.backend_xmin is null
  and s.age_seconds >= %(min_age_seconds)s
  and exists (
      select
      from pg_locks as l
      where l.pid = s.pid
        and l.granted
        and l.locktype = 'relation'
        and l.relation = %(table_oid)s
        and l.database = (select oid from pg_database where datname = current_database())
  )
union all
select format('a lock on the table (prepared transaction %%L of %%s)', x.gid, x.owner)
from pg_prepared_xacts as x
join pg_locks as id on id.locktype = 'transactionid' and id.transactionid = x.transaction and id.pid is null
join pg_locks as l on l.virtualtransaction = id.virtualtransaction and l.pid is null
where x.database = current_database()
  and l.locktype = 'relation'
  and l.relation = %(table_oid)s
order by 1
