-- How far this server has counted in this database, and since when; continuity.py says what follows from it.
select
    clock_timestamp() as read_at,
    pg_postmaster_start_time() as started_at,
    d.stats_reset as stats_reset_at,
    (
        select min(shared.stats_reset)
        from (
            select stats_reset from pg_stat_archiver
            union all
            select stats_reset from pg_stat_bgwriter
            union all
            select stats_reset from pg_stat_wal
            union all
            select stats_reset from pg_stat_slru
        ) as shared
    ) as shared_reset_at,
    -- The control file follows a promotion only with the next checkpoint; the name of the WAL file at once.
    case
        when not pg_is_in_recovery()
            then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
    end as timeline,
    jsonb_build_object(
        'xact_commit', d.xact_commit,
        'xact_rollback', d.xact_rollback,
        'blks_read', d.blks_read,
        'blks_hit', d.blks_hit,
        'tup_returned', d.tup_returned,
        'tup_fetched', d.tup_fetched,
        'tup_inserted', d.tup_inserted,
        'tup_updated', d.tup_updated,
        'tup_deleted', d.tup_deleted
    ) as totals
from pg_stat_database as d
where d.datname = current_database()
