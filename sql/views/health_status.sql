create or replace view herald.health_status as
select subject,
       check_name,
       case when clock_timestamp() > at + make_interval(secs => 3 * frequency_seconds) then 'unknown' else status end as status,
       critical,
       message,
       metrics,
       at,
       since,
       extract(epoch from clock_timestamp() - since)::double precision as since_seconds,
       frequency_seconds,
       duration_seconds
  from herald.health_state;
comment on view herald.health_status is 'How everything is now: a row a check; unknown where nobody looked for three times its frequency.';
comment on column herald.health_status.subject is 'What it is about: a database of the settings, host, dagster, riot or endpoints.';
comment on column herald.health_status.check_name is 'Name of the check within its subject: docs/health.md explains each.';
comment on column herald.health_status.status is 'healthy, degraded, unhealthy; unknown where nobody could tell, or looked.';
comment on column herald.health_status.critical is 'Whether the platform is down where it is unhealthy.';
comment on column herald.health_status.message is 'What was found last, for people.';
comment on column herald.health_status.metrics is 'The newest numbers; the name ends with the unit.';
comment on column herald.health_status.at is 'When the check began.';
comment on column herald.health_status.since is 'When the status began, as far as it was watched.';
comment on column herald.health_status.since_seconds is 'How long ago that is.';
comment on column herald.health_status.frequency_seconds is 'How often it is asked.';
comment on column herald.health_status.duration_seconds is 'How long the newest one took.';
