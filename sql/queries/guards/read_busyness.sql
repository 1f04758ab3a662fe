-- How busy the server is, apart from our own sessions (application_name herald:...) and from the transactions of dumps.
-- A role without pg_read_all_stats sees no state of other roles' sessions.
with client as (
    select
        pid,
        datname,
        usename,
        application_name,
        state,
        extract(epoch from clock_timestamp() - xact_start) as transaction_seconds
    from pg_stat_activity
    where backend_type = 'client backend'
      and application_name not like 'herald:%%'
      and pid <> pg_backend_pid()
),
oldest as (
    select *
    from client
    where datname = current_database()
      and transaction_seconds is not null
      and application_name <> 'pg_dump'
    order by transaction_seconds desc
    limit 1
),
-- replay_lag keeps its last value for a while after a standby has caught up.
behind as (
    select
        extract(epoch from replay_lag)::double precision as seconds,
        pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint as bytes
    from pg_stat_replication
    where replay_lsn < pg_current_wal_lsn()
)
select
    (select count(*) from client where state <> 'idle') as active_sessions,
    (select transaction_seconds::double precision from oldest) as transaction_seconds,
    (select format('pid %%s, %%s as %%s, %%s', pid, coalesce(nullif(application_name, ''), 'unnamed'), usename, state) from oldest)
        as transaction_holder,
    (select max(seconds) from behind) as lag_seconds,
    (select max(bytes) from behind) as lag_bytes
