insert into herald.maintenance_log
       (database, system_identifier, database_oid, task, window_key, object_name, object_oid, outcome, evidence, run_id)
values (%(database)s, %(system_identifier)s, %(database_oid)s, %(task)s, %(window)s, %(object_name)s, %(object_oid)s,
        'running', %(evidence)s::jsonb, %(run_id)s)
returning id
