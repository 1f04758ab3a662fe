insert into herald.statement_reading (
    database, system_identifier, database_oid, window_key, previous_id, since, taken_at, stats_reset_at, deallocations,
    statements, was_reset, begun_anew, gone, evictions
)
values (
    %(database)s, %(system_identifier)s, %(database_oid)s, %(window)s, %(previous_id)s, %(since)s, %(taken_at)s,
    %(stats_reset_at)s, %(deallocations)s, %(statements)s, %(was_reset)s, %(begun_anew)s, %(gone)s, %(evictions)s
)
returning id
