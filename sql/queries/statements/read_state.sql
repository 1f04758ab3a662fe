select
    clock_timestamp() as taken_at,
    i.stats_reset as stats_reset_at,
    i.dealloc as deallocations,
    current_setting('pg_stat_statements.track') as track,
    current_setting('track_io_timing') as track_io_timing
from pg_stat_statements_info as i
