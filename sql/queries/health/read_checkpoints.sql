-- 17+: checkpoints have a view of their own.
select
    num_timed::bigint as timed,
    num_requested::bigint as requested,
    coalesce(extract(epoch from stats_reset), 0)::double precision as reset_at_seconds
from pg_stat_checkpointer
