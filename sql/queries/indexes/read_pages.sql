-- Pages and items of one b-tree. The functions are pgstattuple's, whose schema the session has put on its search_path.
-- A table that was not vacuumed or analysed since its statistics began has no count of its rows: 0.
select
    p.index_size as size_bytes,
    p.internal_pages,
    p.leaf_pages,
    coalesce(nullif(p.avg_leaf_density, 'NaN'), 0) as leaf_density,
    coalesce(nullif(p.leaf_fragmentation, 'NaN'), 0) as leaf_fragmentation,
    t.tuple_count as items,
    t.tuple_len as item_bytes,
    case
        when coalesce(s.last_vacuum, s.last_autovacuum, s.last_analyze, s.last_autoanalyze) is null then 0
        else s.n_live_tup
    end as live_rows,
    coalesce(s.n_dead_tup, 0) as dead_rows
from pgstatindex(%(oid)s::oid::regclass) as p
cross join pgstattuple(%(oid)s::oid::regclass) as t
left join pg_stat_all_tables as s on s.relid = %(table_oid)s::oid
