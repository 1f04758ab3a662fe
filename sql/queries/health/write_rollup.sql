-- A result stands until the next one of its check, and for so many times its frequency at the longest.
with bounds as (
    select %(starts_at)s::timestamptz as starts_at, %(starts_at)s::timestamptz + ('1 ' || %(period)s)::interval as ends_at
),
reach as (
    select
        s.*,
        least(
            s.at + make_interval(secs => %(stands_for)s * s.frequency_seconds),
            lead(s.at) over (partition by s.subject, s.check_name order by s.at)
        ) as until
    from herald.health_snapshot as s
    cross join bounds as b
    -- No check is asked less often than every 20 minutes.
    where s.at >= b.starts_at - interval '1 hour'
      and s.at < b.ends_at
),
stood as (
    select
        r.*,
        r.at >= b.starts_at as is_inside,
        greatest(0, extract(epoch from least(r.until, b.ends_at) - greatest(r.at, b.starts_at)))::double precision as seconds
    from reach as r
    cross join bounds as b
    where r.until > b.starts_at
)
insert into herald.health_rollup as known (
    period, starts_at, subject, check_name, samples, watched_seconds, up_seconds, degraded_seconds, down_seconds,
    duration_p50_ms, duration_p95_ms, duration_p99_ms, recoveries, recovery_seconds
)
select
    %(period)s,
    %(starts_at)s::timestamptz,
    subject,
    check_name,
    count(*) filter (where is_inside),
    coalesce(sum(seconds) filter (where status <> 'unknown'), 0),
    coalesce(sum(seconds) filter (where status in ('healthy', 'degraded')), 0),
    coalesce(sum(seconds) filter (where status = 'degraded'), 0),
    coalesce(sum(seconds) filter (where status = 'unhealthy'), 0),
    percentile_cont(0.5) within group (order by duration_seconds) filter (where is_inside) * 1000,
    percentile_cont(0.95) within group (order by duration_seconds) filter (where is_inside) * 1000,
    percentile_cont(0.99) within group (order by duration_seconds) filter (where is_inside) * 1000,
    count(recovered_after_seconds) filter (where is_inside),
    coalesce(sum(recovered_after_seconds) filter (where is_inside), 0)
from stood
group by subject, check_name
having bool_or(is_inside)
-- Two that count at once wait for one another in this order.
order by subject, check_name
on conflict (period, starts_at, subject, check_name) do update set
    samples = excluded.samples,
    watched_seconds = excluded.watched_seconds,
    up_seconds = excluded.up_seconds,
    degraded_seconds = excluded.degraded_seconds,
    down_seconds = excluded.down_seconds,
    duration_p50_ms = excluded.duration_p50_ms,
    duration_p95_ms = excluded.duration_p95_ms,
    duration_p99_ms = excluded.duration_p99_ms,
    recoveries = excluded.recoveries,
    recovery_seconds = excluded.recovery_seconds
-- Fewer results than were counted before: some are dropped already.
where excluded.samples > known.samples
returning subject
