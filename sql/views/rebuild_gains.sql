create or replace view herald.rebuild_gains as
select g.database,
       g.object_name as index_name,
       g.window_key,
       g.bloat_method,
       g.size_before_bytes,
       g.size_after_bytes,
       g.promised_bytes,
       g.size_before_bytes - g.size_after_bytes as achieved_bytes,
       g.promised_bytes::double precision / nullif(g.size_before_bytes, 0) as promised_ratio,
       (g.size_before_bytes - g.size_after_bytes)::double precision / nullif(g.size_before_bytes, 0) as achieved_ratio,
       extract(epoch from g.finished_at - g.started_at)::double precision as seconds,
       g.run_id,
       g.finished_at
  from (
           select l.*,
                  l.evidence ->> 'bloat_method' as bloat_method,
                  (l.evidence ->> 'promised_bytes')::numeric::bigint as promised_bytes,
                  (l.evidence ->> 'size_bytes')::numeric::bigint as size_before_bytes,
                  (l.result ->> 'size_bytes')::numeric::bigint as size_after_bytes
             from herald.maintenance_log l
            where l.task = 'index_rebuild'
              and l.object_name is not null
              and l.outcome = 'done'
              -- Dropping a leftover is an action of the same task.
              and l.evidence ? 'promised_bytes'
       ) g;
comment on view herald.rebuild_gains is 'What each rebuild promised to give back and what it gave.';
comment on column herald.rebuild_gains.database is 'Name of the target database in the settings.';
comment on column herald.rebuild_gains.index_name is 'Qualified name of the index.';
comment on column herald.rebuild_gains.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.rebuild_gains.bloat_method is 'How the bloat was found; the methods differ in their error.';
comment on column herald.rebuild_gains.size_before_bytes is 'pg_relation_size before the rebuild.';
comment on column herald.rebuild_gains.size_after_bytes is 'pg_relation_size after it.';
comment on column herald.rebuild_gains.promised_bytes is 'Bytes that the analysis expected to reclaim.';
comment on column herald.rebuild_gains.achieved_bytes is 'Bytes that were reclaimed.';
comment on column herald.rebuild_gains.promised_ratio is 'promised_bytes as a share of the size before.';
comment on column herald.rebuild_gains.achieved_ratio is 'achieved_bytes as a share of the size before.';
comment on column herald.rebuild_gains.seconds is 'How long it took.';
comment on column herald.rebuild_gains.run_id is 'The run that wrote the row.';
comment on column herald.rebuild_gains.finished_at is 'When it ended; null exactly while it runs.';
