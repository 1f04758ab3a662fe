select distinct on (database, check_name)
       database,
       check_name,
       window_key,
       passed,
       severity,
       metadata
  from herald.check_result
 where task = %(task)s
   and database = any(%(databases)s)
 order by database, check_name, id desc
