-- Runs that wait, and how long those take that are under way. Dagster's times of creation are in the zone of its sessions:
-- how far that is from UTC is told by a heartbeat, which has the time both ways.
with zone as (
    select coalesce(
        (
            select timestamp - (to_timestamp((body::jsonb ->> 'timestamp')::double precision) at time zone 'UTC')
            from public.daemon_heartbeats
            limit 1
        ),
        interval '0'
    ) as shift
),
run as (
    select
        status,
        extract(epoch from now() at time zone 'UTC' + shift - create_timestamp) as age,
        extract(epoch from now()) - start_time as started
    from public.runs
    cross join zone
    where status in ('QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING')
)
select
    count(*) filter (where status = 'QUEUED')::int as queued,
    coalesce(max(age) filter (where status = 'QUEUED'), 0)::double precision as queued_seconds,
    count(*) filter (where status in ('STARTING', 'STARTED', 'CANCELING'))::int as running,
    coalesce(max(started) filter (where status in ('STARTED', 'CANCELING')), 0)::double precision as running_seconds,
    count(*) filter (where status = 'STARTING' and age > 600)::int as stuck_starting
from run
