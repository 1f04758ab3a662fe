select window_key, outcome, run_id, started_at, finished_at
  from herald.maintenance_log
 where object_name is null
   and database = %(database)s
   and task = %(task)s
   and window_key >= %(since)s
 order by window_key, id
