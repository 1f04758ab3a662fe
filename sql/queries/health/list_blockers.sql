-- Sessions that others wait for while they themselves wait for nobody, with how many wait behind each, and for how long.
with recursive waiting as (
    select a.pid, blocker.pid as blocked_by, extract(epoch from clock_timestamp() - a.state_change) as seconds
    from pg_stat_activity as a
    cross join lateral unnest(pg_blocking_pids(a.pid)) as blocker (pid)
    where a.wait_event_type = 'Lock'
      and a.datname = current_database()
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
