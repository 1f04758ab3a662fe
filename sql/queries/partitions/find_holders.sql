-- Who else holds a lock on some tables in an open or prepared transaction, the oldest first.
select
    case when l.pid is null then 'a prepared transaction'
         else format('%%s %%s, for %%s s', case a.backend_type when 'client backend' then 'session' else a.backend_type end,
                     l.pid, round(extract(epoch from clock_timestamp() - a.xact_start))) end as holder
from pg_locks as l
left join pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'relation'
  and l.database = (select oid from pg_database where datname = current_database())
  and l.relation = any (%(oids)s::oid[])
  and l.granted
  and l.pid is distinct from pg_backend_pid()
  -- It gives way by itself.
  and a.backend_type is distinct from 'autovacuum worker'
order by a.xact_start nulls first
limit 1
