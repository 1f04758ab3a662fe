-- Hours and days that began within a time, a row a check.
select 'hour' as period, *
from herald.health_hourly
where starts_at >= %(starts_at)s
  and starts_at < %(ends_at)s
union all
select 'day', *
from herald.health_daily
where starts_at >= %(starts_at)s
  and starts_at < %(ends_at)s
order by period, starts_at, subject, check_name
