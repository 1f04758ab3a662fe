-- Dagster's own tables: its daemons write a heartbeat every half minute. The body holds the time with its zone.
select
    daemon_type,
    (extract(epoch from now()) - (body::jsonb ->> 'timestamp')::double precision)::double precision as age_seconds
from public.daemon_heartbeats
order by daemon_type
