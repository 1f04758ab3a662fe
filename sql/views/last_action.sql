create or replace view herald.last_action as
select distinct on (database, task, object_name)
       database,
       task,
       object_name,
       object_oid,
       outcome,
       reason,
       evidence,
       result,
       window_key,
       run_id,
       started_at,
       finished_at
  from herald.maintenance_log
 where object_name is not null
 order by database, task, object_name, id desc;
comment on view herald.last_action is 'The last state of each object, by task.';
