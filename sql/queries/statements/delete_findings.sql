delete from herald.query_finding as f
where f.database = %(database)s
    and f.system_identifier = %(system_identifier)s
    and f.database_oid = %(database_oid)s
    and f.window_key = %(window)s
