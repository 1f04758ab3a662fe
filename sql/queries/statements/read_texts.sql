-- One text for each query: entries of several roles and levels have the same.
select distinct on (s.queryid) s.queryid as query_id, s.query
from pg_stat_statements(true) as s
where s.dbid = (select d.oid from pg_database as d where d.datname = current_database())
    and s.queryid = any(%(query_ids)s::bigint[])
order by s.queryid, s.query nulls last
