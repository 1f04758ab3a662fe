-- Counters that only grow, until somebody or a crash resets them.
select
    blks_hit::bigint as blocks_hit,
    blks_read::bigint as blocks_read,
    deadlocks::bigint as deadlocks,
    coalesce(extract(epoch from stats_reset), 0)::double precision as reset_at_seconds
from pg_stat_database
where datname = current_database()
