update herald.maintenance_log
   set outcome = %(outcome)s,
       reason = %(reason)s,
       result = %(result)s::jsonb,
       finished_at = clock_timestamp()
 where id = %(id)s
   and finished_at is null
returning id
