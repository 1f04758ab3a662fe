-- Until 16.
select
    checkpoints_timed::bigint as timed,
    checkpoints_req::bigint as requested,
    coalesce(extract(epoch from stats_reset), 0)::double precision as reset_at_seconds
from pg_stat_bgwriter
