-- Every result, and how its check stands after its newest one, unless something newer is known already.
with given as (
    select *
    from jsonb_to_recordset(%(rows)s::jsonb) as row_ (
        at timestamptz, subject text, check_name text, status text, critical boolean, message text, metrics jsonb,
        duration_seconds double precision, frequency_seconds double precision, recovered_after_seconds double precision,
        since timestamptz, down_since timestamptz, state_metrics jsonb, is_newest boolean
    )
),
written as (
    insert into herald.health_snapshot (
        at, subject, check_name, status, critical, message, metrics, duration_seconds, frequency_seconds,
        recovered_after_seconds, run_id
    )
    select
        at, subject, check_name, status, critical, message, metrics, duration_seconds, frequency_seconds,
        recovered_after_seconds, %(run_id)s
    from given
    -- Written already, where nobody learned that its transaction was committed.
    on conflict (subject, check_name, at) do nothing
)
insert into herald.health_state as known (
    subject, check_name, status, critical, message, metrics, at, since, down_since, frequency_seconds, duration_seconds
)
select
    subject, check_name, status, critical, message, state_metrics, at, since, down_since, frequency_seconds, duration_seconds
from given
where is_newest
order by subject, check_name
on conflict (subject, check_name) do update set
    status = excluded.status,
    critical = excluded.critical,
    message = excluded.message,
    metrics = excluded.metrics,
    at = excluded.at,
    since = excluded.since,
    down_since = excluded.down_since,
    frequency_seconds = excluded.frequency_seconds,
    duration_seconds = excluded.duration_seconds
-- What a clock that was put back has left behind is no newer one.
where known.at <= excluded.at
   or known.at > clock_timestamp()
