with latest as (
    select r.window_key, max(r.id) as id
    from herald.statement_reading as r
    where r.database = %(database)s
        and r.system_identifier = %(system_identifier)s
        and r.database_oid = %(database_oid)s
    group by r.window_key
    order by max(r.id) desc
    limit %(windows)s
)
select l.window_key, g.query_id, g.toplevel, coalesce(sum(d.exec_seconds), 0) as exec_seconds
from latest as l
cross join unnest(%(query_ids)s::bigint[], %(toplevels)s::boolean[]) as g (query_id, toplevel)
join herald.statement_reading as r on r.window_key = l.window_key
    and r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
left join herald.statement_delta as d on d.reading_id = r.id and d.query_id = g.query_id and d.toplevel = g.toplevel
group by l.window_key, l.id, g.query_id, g.toplevel
order by l.id
