-- What ANALYZE noted of the columns and indexed expressions that the role may see: pg_stats shows a column to who may select
-- it, and an expression of an index to the table's owner. Joined with the keys by the caller: the planner does not know
-- how many rows a view of statistics has, and has chosen nested loops.
select
    schemaname as schema,
    tablename as relation,
    attname as attribute,
    avg_width as average_width,
    null_frac as null_fraction,
    n_distinct
from pg_stats
where not inherited
    and schemaname not like 'pg\_%%'
    and schemaname <> 'information_schema'
