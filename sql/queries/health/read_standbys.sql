-- replay_lag keeps its last value for a while after a standby has caught up. The state is null where it may not be seen.
select
    count(*)::int as standbys,
    count(*) filter (where state is null)::int as hidden,
    count(*) filter (where state <> 'streaming')::int as not_streaming,
    coalesce(
        max(extract(epoch from replay_lag)) filter (where replay_lsn < pg_current_wal_lsn()), 0
    )::double precision as lag_seconds,
    coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::bigint as lag_bytes
from pg_stat_replication
where application_name is distinct from 'pg_basebackup'
