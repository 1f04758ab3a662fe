create or replace view herald.vacuum_effects as
select v.database,
       v.task,
       v.object_name as table_name,
       v.window_key,
       v.outcome,
       v.reason,
       v.evidence -> 'needs' as needs,
       v.evidence ->> 'reason' as why,
       v.evidence ->> 'statement' as statement,
       (v.evidence ->> 'size_bytes')::numeric::bigint as size_bytes,
       (v.evidence ->> 'dead_rows')::numeric::bigint as dead_rows_before,
       (v.result ->> 'dead_rows')::numeric::bigint as dead_rows_after,
       (v.result ->> 'removed_rows')::numeric::bigint as removed_rows,
       (v.evidence ->> 'xid_age')::numeric::bigint as xid_age_before,
       (v.result ->> 'xid_age')::numeric::bigint as xid_age_after,
       (v.result ->> 'visible_share')::double precision as visible_share,
       (v.result ->> 'seconds')::double precision as seconds,
       v.run_id,
       v.started_at,
       v.finished_at
  from herald.maintenance_log v
 where v.task in ('database_optimization', 'full_database_maintenance', 'statistics_update')
   and v.object_name is not null
   -- Looking through an index is an action of the same task.
   and v.evidence ? 'needs';
comment on view herald.vacuum_effects is 'Every VACUUM and ANALYZE of a table: why, and what it did by the server''s own counters.';
comment on column herald.vacuum_effects.database is 'Name of the target database in the settings.';
comment on column herald.vacuum_effects.task is 'Task of the calendar: database_optimization.';
comment on column herald.vacuum_effects.table_name is 'Qualified name of the table.';
comment on column herald.vacuum_effects.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.vacuum_effects.outcome is 'running (open), planned, done, skipped, failed (an old snapshot that kept dead rows included), interrupted.';
comment on column herald.vacuum_effects.reason is 'Why it was planned or skipped, or how it failed.';
comment on column herald.vacuum_effects.needs is 'What the table needed: freeze, dead rows, toast, inserts, visibility, statistics, missing statistics.';
comment on column herald.vacuum_effects.why is 'The same in words, with the limits that were exceeded.';
comment on column herald.vacuum_effects.statement is 'What was run.';
comment on column herald.vacuum_effects.size_bytes is 'Of the table and its TOAST table.';
comment on column herald.vacuum_effects.dead_rows_before is 'Dead rows before, TOAST included.';
comment on column herald.vacuum_effects.dead_rows_after is 'Dead rows after: died meanwhile, or kept by an old snapshot.';
comment on column herald.vacuum_effects.removed_rows is 'The difference.';
comment on column herald.vacuum_effects.xid_age_before is 'Age of the oldest row in transactions before.';
comment on column herald.vacuum_effects.xid_age_after is 'The same after; null where it was only analyzed.';
comment on column herald.vacuum_effects.visible_share is 'Share of pages that are all-visible after, which index-only scans need not look up.';
comment on column herald.vacuum_effects.seconds is 'How long the statement took.';
comment on column herald.vacuum_effects.run_id is 'The run that wrote the row.';
comment on column herald.vacuum_effects.started_at is 'When it began, by this database''s clock.';
comment on column herald.vacuum_effects.finished_at is 'When it ended; null exactly while it runs.';
