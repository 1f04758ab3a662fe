delete from herald.statement_text as t
where t.database = %(database)s
    and t.system_identifier = %(system_identifier)s
    and t.database_oid = %(database_oid)s
    and t.seen_at < %(before)s
    and not exists (
        select
        from herald.statement_counter as c
        where c.database = t.database
            and c.system_identifier = t.system_identifier
            and c.database_oid = t.database_oid
            and c.query_id = t.query_id
    )
    and not exists (
        select
        from herald.statement_delta as d
        join herald.statement_reading as r on r.id = d.reading_id
        where d.query_id = t.query_id
            and r.database = t.database
            and r.system_identifier = t.system_identifier
            and r.database_oid = t.database_oid
    )
