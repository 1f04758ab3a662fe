select outcome, reason, run_id from herald.maintenance_log where id = %(id)s
