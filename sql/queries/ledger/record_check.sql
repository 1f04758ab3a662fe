insert into herald.check_result
       (database, system_identifier, database_oid, task, window_key, asset, check_name, passed, severity, metadata, run_id)
values (%(database)s, %(system_identifier)s, %(database_oid)s, %(task)s, %(window)s, %(asset)s, %(check_name)s,
        %(passed)s, %(severity)s, %(metadata)s::jsonb, %(run_id)s)
returning id
