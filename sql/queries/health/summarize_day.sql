-- A day by subject, over all its checks; every second counts once for each check that watched it.
select
    subject,
    sum(up_seconds) / nullif(sum(watched_seconds), 0) as uptime_ratio,
    avg(watched_seconds) / 86400 as watched_ratio,
    max(duration_p95_ms) as slowest_p95_ms,
    sum(recoveries)::int as recoveries,
    sum(recovery_seconds) / nullif(sum(recoveries), 0) as mean_time_to_recover_seconds
from herald.health_rollup
where period = 'day'
  and starts_at = %(starts_at)s
group by subject
order by subject
