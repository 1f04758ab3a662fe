create or replace view herald.window_history as
select w.database,
       w.task,
       w.window_key,
       w.outcome,
       w.reason,
       w.evidence ->> 'mode' as mode,
       coalesce((w.evidence ->> 'late')::boolean, false) as late,
       w.evidence -> 'covered' as covered,
       extract(epoch from w.finished_at - w.started_at)::double precision as seconds,
       w.result,
       w.run_id,
       w.started_at,
       w.finished_at
  from herald.maintenance_log w
 where w.object_name is null;
comment on view herald.window_history is
    'Every attempt of every task at every window: mode (observe, apply), whether it came late and which windows it covered, seconds.';
comment on column herald.window_history.database is 'Name of the target database in the settings.';
comment on column herald.window_history.task is 'Task of the calendar: index_rebuild.';
comment on column herald.window_history.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.window_history.outcome is 'running (open), planned, done, skipped, refused (by a guard), failed, interrupted (found open by a later run).';
comment on column herald.window_history.reason is 'Why it was planned, skipped or refused, or how it failed.';
comment on column herald.window_history.mode is 'observe (analysed and recorded only) or apply.';
comment on column herald.window_history.late is 'Whether the window was caught up after its time.';
comment on column herald.window_history.covered is 'The windows that this one run stands for, when it is more than its own.';
comment on column herald.window_history.seconds is 'How long it took.';
comment on column herald.window_history.result is 'What was measured after.';
comment on column herald.window_history.run_id is 'The run that wrote the row.';
comment on column herald.window_history.started_at is 'When it began, by this database''s clock.';
comment on column herald.window_history.finished_at is 'When it ended; null exactly while it runs.';
