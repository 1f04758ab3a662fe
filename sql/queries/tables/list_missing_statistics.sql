-- Tables of which the planner lacks statistics that ANALYZE would make: of a column, of an expression in an index, or of
-- extended statistics. What vacuumdb --missing-stats-only of PostgreSQL 18 looks for, for every version. A target of 0 says
-- that none are wanted; rows of a partitioned table's statistics are those with stainherit.
with wanted as (
    select c.oid, c.relkind = 'p' as inherited
    from pg_class as c
    where c.relkind in ('r', 'm', 'p')
        and c.relpersistence <> 't'
        and c.reltuples <> 0
        and c.oid <> 'pg_statistic'::regclass
)
select w.oid
from wanted as w
where exists (
    select
    from pg_attribute as a
    where a.attrelid = w.oid
        and a.attnum > 0
        and not a.attisdropped
        and a.attstattarget is distinct from 0
        and a.attgenerated <> 'v'
        and not exists (
            select from pg_statistic as s
            where s.starelid = a.attrelid and s.staattnum = a.attnum and s.stainherit = w.inherited
        )
)
or exists (
    select
    from pg_index as i
    join pg_attribute as a on a.attrelid = i.indexrelid
    where i.indrelid = w.oid
        and i.indexprs is not null
        and a.attnum > 0
        and i.indkey[a.attnum - 1] = 0
        and not a.attisdropped
        and a.attstattarget is distinct from 0
        and not w.inherited
        and not exists (
            select from pg_statistic as s
            where s.starelid = a.attrelid and s.staattnum = a.attnum and not s.stainherit
        )
)
or exists (
    select
    from pg_statistic_ext as e
    where e.stxrelid = w.oid
        and (to_jsonb(e) ->> 'stxstattarget')::int is distinct from 0
        -- stxdinherit is of PostgreSQL 15. Before, CREATE STATISTICS itself makes the row, and ANALYZE replaces it.
        and not exists (
            select from pg_statistic_ext_data as d
            where d.stxoid = e.oid
                and coalesce((to_jsonb(d) ->> 'stxdinherit')::boolean, w.inherited) = w.inherited
                and (to_jsonb(d) ? 'stxdinherit' or d.xmin <> e.xmin)
        )
)
