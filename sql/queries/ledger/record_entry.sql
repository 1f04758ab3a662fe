insert into herald.maintenance_log
       (database, system_identifier, database_oid, task, window_key, object_name, object_oid, outcome, reason, evidence,
        result, run_id, finished_at)
values (%(database)s, %(system_identifier)s, %(database_oid)s, %(task)s, %(window)s, %(object_name)s, %(object_oid)s,
        %(outcome)s, %(reason)s, %(evidence)s::jsonb, %(result)s::jsonb, %(run_id)s, clock_timestamp())
returning id
