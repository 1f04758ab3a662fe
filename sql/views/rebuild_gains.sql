create or replace view herald.rebuild_gains as
select g.database,
       g.object_name as index_name,
       g.object_oid as index_oid,
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
                  (l.evidence ->> 'bloat_bytes')::numeric::bigint as promised_bytes,
                  (l.evidence ->> 'size_bytes')::numeric::bigint as size_before_bytes,
                  (l.result ->> 'size_bytes')::numeric::bigint as size_after_bytes
             from herald.maintenance_log l
            where l.task = 'index_rebuild'
              and l.object_name is not null
              and l.outcome = 'done'
       ) g;
comment on view herald.rebuild_gains is 'What each rebuild promised to give back and what it gave.';
