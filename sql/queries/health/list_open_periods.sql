-- Hours or days that are over and have results, but are not counted yet; a few minutes later, when all are written.
select distinct date_trunc(%(period)s, at, 'UTC') as starts_at
from herald.health_snapshot
where at >= coalesce(
        (select max(starts_at) + ('1 ' || %(period)s)::interval from herald.health_rollup where period = %(period)s),
        '-infinity'
    )
  and at < date_trunc(%(period)s, %(now)s::timestamptz - interval '5 minutes', 'UTC')
order by starts_at
limit %(limit)s
