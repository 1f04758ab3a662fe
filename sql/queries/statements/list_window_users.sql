select d.query_id, d.toplevel, d.user_name, sum(d.calls)::bigint as calls
from herald.statement_reading as r
join herald.statement_delta as d on d.reading_id = r.id
where r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
    and r.window_key = %(window)s
    and d.query_id = any(%(query_ids)s::bigint[])
group by d.query_id, d.toplevel, d.user_name
order by calls desc, d.user_name
