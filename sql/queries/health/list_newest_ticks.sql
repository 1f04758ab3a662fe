-- How the newest tick of each schedule and sensor went: nobody else tells of those that fail. One step of the index for each,
-- however many ticks there are: (selector_id, timestamp) is Dagster's own.
with recursive instigator as (
    (select selector_id from public.job_ticks where selector_id is not null order by selector_id limit 1)
    union all
    select (
        select t.selector_id from public.job_ticks as t where t.selector_id > i.selector_id order by t.selector_id limit 1
    )
    from instigator as i
    where i.selector_id is not null
)
select
    -- As Dagster stores it.
    coalesce(t.tick_body::jsonb ->> 'job_name', t.tick_body::jsonb ->> 'instigator_name') as name,
    t.status
from instigator as i
cross join lateral (
    select tick_body, status
    from public.job_ticks
    where selector_id = i.selector_id
      and timestamp > (now() at time zone 'UTC') - interval '2 days'
      and status in ('SUCCESS', 'FAILURE', 'SKIPPED')
    order by timestamp desc, id desc
    limit 1
) as t
order by name
