-- A run that made up for several windows at once has one row, which names them all.
select distinct log.database, log.task, coalesce(covered.window_key, log.window_key) as window_key
  from herald.maintenance_log as log
  left join lateral jsonb_array_elements_text(log.evidence -> 'covered') as covered (window_key) on true
 where log.object_name is null
   and log.outcome = 'done'
   and log.window_key >= %(since)s
