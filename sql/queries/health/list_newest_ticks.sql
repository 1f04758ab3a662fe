-- How the newest tick of each schedule and sensor went: nobody else tells of those that fail.
select distinct on (selector_id)
    -- As Dagster stores it.
    coalesce(tick_body::jsonb ->> 'job_name', tick_body::jsonb ->> 'instigator_name') as name,
    status
from public.job_ticks
where timestamp > (now() at time zone 'UTC') - interval '2 days'
  and status in ('SUCCESS', 'FAILURE', 'SKIPPED')
order by selector_id, id desc
