-- Hours or days that are over and have results: those that are not counted yet, and the newest that is, since a late result
-- may have come to it. What a clock that ran ahead has counted does not
-- hide those before it.
with bounds as (
    select date_trunc(%(period)s, %(until)s::timestamptz, 'UTC') as ends_at
)
select distinct date_trunc(%(period)s, s.at, 'UTC') as starts_at
from herald.health_snapshot as s
cross join bounds as b
where s.at >= coalesce(
        (
            select max(r.starts_at)
            from herald.health_rollup as r
            where r.period = %(period)s
              and r.starts_at < (select ends_at from bounds)
        ),
        '-infinity'
    )
  and s.at < b.ends_at
order by starts_at
