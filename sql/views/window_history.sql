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
