-- Whom detaching some tables concurrently, or finalizing it, would wait for, the oldest first: transactions that hold a lock on
-- them, and, as finalizing asks for it, snapshots of this database that are older than now. `key` names one of them as long as
-- it is in the way.
with held as (
    select l.virtualtransaction as key, l.pid
    from pg_locks as l
    where l.locktype = 'relation'
      and l.database = (select oid from pg_database where datname = current_database())
      and l.relation = any (%(oids)s::oid[])
      and l.granted
    union
    select format('%%s %%s', a.pid, a.backend_xmin), a.pid
    from pg_stat_activity as a
    where a.datname = current_database()
      and a.backend_xmin is not null
      -- VACUUM's snapshots are not waited for.
      and not exists (select from pg_stat_progress_vacuum as v where v.pid = a.pid)
)
select
    h.key,
    case when h.pid is null then 'a prepared transaction'
         else format('%%s %%s, for %%s s', case a.backend_type when 'client backend' then 'session' else a.backend_type end,
                     h.pid, round(extract(epoch from clock_timestamp() - a.xact_start))) end as holder
from held as h
left join pg_stat_activity as a on a.pid = h.pid
where h.pid is distinct from pg_backend_pid()
  -- It gives way by itself, unless it is there to prevent wraparound.
  and (a.backend_type is distinct from 'autovacuum worker' or a.query like '%%to prevent wraparound%%')
order by a.xact_start nulls first, h.key
