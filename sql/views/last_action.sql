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
comment on column herald.last_action.database is 'Name of the target database in the settings.';
comment on column herald.last_action.task is 'Task of the calendar: index_rebuild.';
comment on column herald.last_action.object_name is 'Qualified name of what was acted on.';
comment on column herald.last_action.object_oid is 'Its OID in the target database.';
comment on column herald.last_action.outcome is 'running (open), planned, done, skipped, refused (by a guard), failed, interrupted (found open by a later run).';
comment on column herald.last_action.reason is 'Why it was planned, skipped or refused, or how it failed.';
comment on column herald.last_action.evidence is 'What was measured before.';
comment on column herald.last_action.result is 'What was measured after.';
comment on column herald.last_action.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.last_action.run_id is 'The run that wrote the row.';
comment on column herald.last_action.started_at is 'When it began, by this database''s clock.';
comment on column herald.last_action.finished_at is 'When it ended; null exactly while it runs.';
