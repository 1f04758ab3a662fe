select distinct database, task, window_key
  from herald.maintenance_log
 where object_name is null
   and outcome = 'done'
   and window_key >= %(since)s
