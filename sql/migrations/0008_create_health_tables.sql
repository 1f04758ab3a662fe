-- How everything is: every result of a check, how each check stands, and hours and days of it. Runs as herald_owner.

create table herald.health_snapshot (
    at                      timestamptz not null,
    subject                 text not null,
    check_name              text not null,
    status                  text not null,
    critical                boolean not null,
    message                 text not null,
    metrics                 jsonb not null,
    duration_seconds        double precision not null,
    frequency_seconds       double precision not null,
    recovered_after_seconds double precision,
    run_id                  text,
    constraint health_snapshot_status_known check (status in ('healthy', 'degraded', 'unhealthy', 'unknown')),
    constraint health_snapshot_metrics_is_object check (jsonb_typeof(metrics) = 'object')
) partition by range (at);
comment on table herald.health_snapshot is 'Every result of a health check. Rows are only added; a partition for each month (UTC), dropped when it is old. Where there is no row, nobody looked.';
comment on column herald.health_snapshot.at is 'When the check began.';
comment on column herald.health_snapshot.subject is 'What it is about: a database of the settings, host, dagster, riot or endpoints.';
comment on column herald.health_snapshot.check_name is 'Name of the check within its subject: docs/health.md explains each.';
comment on column herald.health_snapshot.status is 'healthy, degraded, unhealthy; unknown where nobody could tell.';
comment on column herald.health_snapshot.critical is 'Whether the platform is down where it is unhealthy.';
comment on column herald.health_snapshot.message is 'What was found, for people.';
comment on column herald.health_snapshot.metrics is 'Numbers by name; the name ends with the unit.';
comment on column herald.health_snapshot.duration_seconds is 'How long the check took.';
comment on column herald.health_snapshot.frequency_seconds is 'How often it is asked; the result stands for three times that, at the longest.';
comment on column herald.health_snapshot.recovered_after_seconds is 'How long it was unhealthy, where this result ends that and all of it was watched.';
comment on column herald.health_snapshot.run_id is 'The run that wrote the row; null: the sensor.';
create unique index health_snapshot_of_check on herald.health_snapshot (subject, check_name, at);
-- Results of one look have one time, so it is small; hours and days are counted by it.
create index health_snapshot_at on herald.health_snapshot (at);
revoke update, delete on herald.health_snapshot from herald_writer;

create function herald.add_health_partition(moment timestamptz) returns boolean
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
as $$
declare
    month     timestamptz := date_trunc('month', moment);
    partition text := 'health_snapshot_' || to_char(month, 'YYYY_MM');
begin
    if to_regclass('herald.' || partition) is not null then
        return false;
    end if;
    -- Attached and not created in place: readers of the others need not wait.
    execute format(
        'create table herald.%I (like herald.health_snapshot including defaults including constraints including comments)',
        partition
    );
    execute format(
        'alter table herald.health_snapshot attach partition herald.%I for values from (%L) to (%L)',
        partition, month, month + interval '1 month'
    );
    execute format('comment on table herald.%I is %L', partition, 'Results of the month ' || to_char(month, 'YYYY-MM') || '.');
    execute format('revoke insert, update, delete on herald.%I from herald_writer', partition);
    return true;
end
$$;
comment on function herald.add_health_partition(timestamptz) is
    'Creates the partition of herald.health_snapshot for the month (UTC) of a moment, and returns whether it was missing.';
revoke execute on function herald.add_health_partition(timestamptz) from public;
grant execute on function herald.add_health_partition(timestamptz) to herald_writer;

create function herald.drop_health_partitions(keep_months integer) returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
as $$
declare
    partition text;
    dropped   integer := 0;
begin
    for partition in
        select c.relname
        from pg_inherits as i
        join pg_class as c on c.oid = i.inhrelid
        where i.inhparent = 'herald.health_snapshot'::regclass
          and c.relname ~ '^health_snapshot_[0-9]{4}_[0-9]{2}$'
          and c.relname < 'health_snapshot_' || to_char(now() - make_interval(months => greatest(keep_months, 1)), 'YYYY_MM')
    loop
        execute format('drop table herald.%I', partition);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
comment on function herald.drop_health_partitions(integer) is
    'Drops the partitions of herald.health_snapshot that are older than so many whole months, and returns how many that were.';
revoke execute on function herald.drop_health_partitions(integer) from public;
grant execute on function herald.drop_health_partitions(integer) to herald_writer;
select herald.add_health_partition(now() + make_interval(months => ahead)) from generate_series(0, 2) as ahead;


create table herald.health_state (
    subject           text not null,
    check_name        text not null,
    status            text not null,
    critical          boolean not null,
    message           text not null,
    metrics           jsonb not null,
    at                timestamptz not null,
    since             timestamptz not null,
    down_since        timestamptz,
    frequency_seconds double precision not null,
    duration_seconds  double precision not null,
    primary key (subject, check_name),
    constraint health_state_status_known check (status in ('healthy', 'degraded', 'unhealthy', 'unknown')),
    constraint health_state_metrics_is_object check (jsonb_typeof(metrics) = 'object')
);
comment on table herald.health_state is 'How each check stands: its newest result, and since when it has been so.';
comment on column herald.health_state.subject is 'What it is about: a database of the settings, host, dagster, riot or endpoints.';
comment on column herald.health_state.check_name is 'Name of the check within its subject.';
comment on column herald.health_state.status is 'healthy, degraded, unhealthy; unknown where nobody could tell.';
comment on column herald.health_state.critical is 'Whether the platform is down where it is unhealthy.';
comment on column herald.health_state.message is 'What was found, for people.';
comment on column herald.health_state.metrics is 'The newest numbers.';
comment on column herald.health_state.at is 'When the check began.';
comment on column herald.health_state.since is 'When the status began, as far as it was watched.';
comment on column herald.health_state.down_since is 'When it became unhealthy, while it has not recovered.';
comment on column herald.health_state.frequency_seconds is 'How often it is asked.';
comment on column herald.health_state.duration_seconds is 'How long the newest one took.';


create table herald.health_rollup (
    period           text not null,
    starts_at        timestamptz not null,
    subject          text not null,
    check_name       text not null,
    samples          integer not null,
    watched_seconds  double precision not null,
    up_seconds       double precision not null,
    degraded_seconds double precision not null,
    down_seconds     double precision not null,
    duration_p50_ms  double precision not null,
    duration_p95_ms  double precision not null,
    duration_p99_ms  double precision not null,
    recoveries       integer not null,
    recovery_seconds double precision not null,
    primary key (period, starts_at, subject, check_name),
    constraint health_rollup_period_known check (period in ('hour', 'day'))
);
comment on table herald.health_rollup is 'Hours and days of health_snapshot, each as it was when it was over.';
comment on column herald.health_rollup.period is 'hour or day (UTC).';
comment on column herald.health_rollup.starts_at is 'When it began.';
comment on column herald.health_rollup.subject is 'What it is about.';
comment on column herald.health_rollup.check_name is 'Name of the check within its subject.';
comment on column herald.health_rollup.samples is 'Results in it.';
comment on column herald.health_rollup.watched_seconds is 'For how much of it a result stood, unknown ones left out: the rest is a gap.';
comment on column herald.health_rollup.up_seconds is 'Of that, healthy or degraded.';
comment on column herald.health_rollup.degraded_seconds is 'Of that, degraded.';
comment on column herald.health_rollup.down_seconds is 'Of that, unhealthy.';
comment on column herald.health_rollup.duration_p50_ms is 'Median of how long the check took.';
comment on column herald.health_rollup.duration_p95_ms is 'The same, 95th percentile.';
comment on column herald.health_rollup.duration_p99_ms is 'The same, 99th percentile.';
comment on column herald.health_rollup.recoveries is 'How often it recovered from being unhealthy, all of which was watched.';
comment on column herald.health_rollup.recovery_seconds is 'How long it had been unhealthy, in all of these.';
