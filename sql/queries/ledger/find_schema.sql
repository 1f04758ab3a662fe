select oid
  from pg_class
 where oid = to_regclass('herald.maintenance_log')
