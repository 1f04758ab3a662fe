-- How far the VACUUM or ANALYZE of a server process is; index passes are counted from 0.
select
    phase,
    case
        when phase = 'vacuuming heap' then heap_blks_vacuumed
        else heap_blks_scanned
    end as done,
    heap_blks_total as total,
    index_vacuum_count as passes
from pg_stat_progress_vacuum
where pid = %(pid)s
union all
select
    phase,
    case when phase = 'computing extended statistics' then ext_stats_computed else sample_blks_scanned end,
    case when phase = 'computing extended statistics' then ext_stats_total else sample_blks_total end,
    0
from pg_stat_progress_analyze
where pid = %(pid)s
