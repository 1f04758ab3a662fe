create or replace view herald.health_hourly as
select starts_at,
       subject,
       check_name,
       samples,
       up_seconds / nullif(watched_seconds, 0) as uptime_ratio,
       degraded_seconds / nullif(watched_seconds, 0) as degraded_ratio,
       watched_seconds / 3600 as watched_ratio,
       down_seconds,
       duration_p50_ms,
       duration_p95_ms,
       duration_p99_ms,
       recoveries,
       recovery_seconds / nullif(recoveries, 0) as mean_time_to_recover_seconds
  from herald.health_rollup
 where period = 'hour';
comment on view herald.health_hourly is 'Every hour (UTC) that is over, a row a check. Gaps are gaps: ratios are of what was watched.';
comment on column herald.health_hourly.starts_at is 'When the hour began.';
comment on column herald.health_hourly.subject is 'What it is about: a database of the settings, host, dagster, riot or endpoints.';
comment on column herald.health_hourly.check_name is 'Name of the check within its subject.';
comment on column herald.health_hourly.samples is 'Results in it.';
comment on column herald.health_hourly.uptime_ratio is 'Share of the watched time in which it was healthy or degraded.';
comment on column herald.health_hourly.degraded_ratio is 'Share of the watched time in which it was degraded.';
comment on column herald.health_hourly.watched_ratio is 'Share of the hour of which somebody knew: the rest is a gap.';
comment on column herald.health_hourly.down_seconds is 'How long it was unhealthy.';
comment on column herald.health_hourly.duration_p50_ms is 'Median of how long the check took.';
comment on column herald.health_hourly.duration_p95_ms is 'The same, 95th percentile.';
comment on column herald.health_hourly.duration_p99_ms is 'The same, 99th percentile.';
comment on column herald.health_hourly.recoveries is 'How often it recovered from being unhealthy, all of which was watched.';
comment on column herald.health_hourly.mean_time_to_recover_seconds is 'Mean of how long it had been unhealthy until then.';
