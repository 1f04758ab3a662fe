insert into herald.performance_baseline (
    database, system_identifier, database_oid, window_key, since, until, windows
)
values (
    %(database)s, %(system_identifier)s, %(database_oid)s, %(window)s, %(since)s, %(until)s, %(windows)s
)
returning id
