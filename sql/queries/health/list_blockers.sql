-- Sessions that others wait for while they themselves wait for nobody, with how many wait behind each, and for how long.
-- Locks and who waits for whom are visible to every role. pid 0 is a prepared transaction.
with recursive waiter as (
    select pid, extract(epoch from clock_timestamp() - min(waitstart)) as seconds
    from pg_locks
    where not granted
      -- Locks on transactions belong to no database.
      and pid in (select pid from pg_stat_activity where datname = current_database())
    group by pid
),
waiting as (
    select w.pid, blocker.pid as blocked_by, coalesce(w.seconds, 0) as seconds
    from waiter as w
    cross join lateral unnest(pg_blocking_pids(w.pid)) as blocker (pid)
),
behind as (
    select blocked_by as root, pid, seconds
    from waiting
    where blocked_by not in (select pid from waiting)
    union
    select behind.root, waiting.pid, waiting.seconds
    from behind
    join waiting on waiting.blocked_by = behind.pid
)
select
    behind.root as pid,
    count(distinct behind.pid)::int as waiting,
    max(behind.seconds)::double precision as waiting_seconds,
    min(coalesce(nullif(a.application_name, ''), 'unnamed')) as application,
    min(a.usename::text) as role,
    min(a.state) as state
from behind
left join pg_stat_activity as a on a.pid = behind.root
group by behind.root
order by waiting_seconds desc
