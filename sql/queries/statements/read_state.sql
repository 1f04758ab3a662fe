select
    clock_timestamp() as taken_at,
    i.stats_reset as stats_reset_at,
    i.dealloc as deallocations,
    -- As it is for others: a role that only watches may have been left out of what is counted.
    exists (
        select
        from pg_settings as s
        where s.source not in ('user', 'database user')
            and (s.name, s.setting) = ('pg_stat_statements.track', 'none')
    ) as counts_nothing,
    -- Then another module may, or single sessions.
    exists (
        select
        from pg_settings as s
        where s.source not in ('user', 'database user')
            and (s.name, s.setting) = ('compute_query_id', 'off')
    ) as makes_no_ids,
    current_setting('track_io_timing') as track_io_timing
from pg_stat_statements_info as i
