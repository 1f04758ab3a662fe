with dead as (
    -- The whole name: when it has come to stand for another database, the rows of the former one are dead as well.
    update herald.maintenance_log
       set outcome = 'interrupted',
           reason = 'found open by a later run',
           finished_at = clock_timestamp()
     where database = %(database)s
       and task = %(task)s
       and finished_at is null
    returning *
)
select id, window_key, object_name, object_oid, evidence, run_id, started_at
  from dead
 where system_identifier = %(system_identifier)s
   and database_oid = %(database_oid)s
 order by id
