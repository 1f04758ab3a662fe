create or replace view herald.index_health as
select a.database,
       a.schema_name,
       a.table_name,
       a.index_name,
       a.index_oid,
       a.access_method,
       a.size_bytes,
       a.bloat_ratio,
       a.bloat_bytes,
       a.bloat_method,
       a.scans,
       a.scans_window_days,
       array(select v ->> 'kind' from jsonb_array_elements(a.verdicts) v) as verdict_kinds,
       a.verdicts,
       a.rebuild_planned,
       a.window_key,
       a.analyzed_at
  from herald.index_analysis a
 where a.analyzed_at = (
           select max(latest.analyzed_at) from herald.index_analysis latest where latest.database = a.database
       );
comment on view herald.index_health is 'Each index of each database as the latest analysis saw it; indexes dropped since are not in it.';
