create or replace view herald.query_findings as
with latest as (
    select distinct on (r.database) r.database, r.system_identifier, r.database_oid, r.window_key
      from herald.statement_reading r
     order by r.database, r.taken_at desc
)
select f.database,
       f.window_key,
       f.kind,
       t.query,
       f.reason,
       f.calls,
       f.mean_seconds,
       f.baseline_mean_seconds,
       f.extra_seconds,
       f.share,
       f.plan,
       f.plan_reason,
       f.query_id,
       f.toplevel,
       f.found_at
  from latest l
  join herald.query_finding f using (database, system_identifier, database_oid, window_key)
  left join herald.statement_text t using (database, system_identifier, database_oid, query_id);
comment on view herald.query_findings is 'What the newest analysis of each database said of single queries: slower, slow, new, vanished.';
comment on column herald.query_findings.database is 'Name of the target database in the settings.';
comment on column herald.query_findings.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.query_findings.kind is 'regression, slow, new or vanished.';
comment on column herald.query_findings.query is 'Text without literals; of utility statements the leading keywords alone; null where the server had lost it.';
comment on column herald.query_findings.reason is 'Why, for people.';
comment on column herald.query_findings.calls is 'Calls in the window.';
comment on column herald.query_findings.mean_seconds is 'Mean of a call in the window.';
comment on column herald.query_findings.baseline_mean_seconds is 'Mean of a call in the baseline.';
comment on column herald.query_findings.extra_seconds is 'Time beyond the baseline (regression), all time (new, slow), or the time that it used to take (vanished).';
comment on column herald.query_findings.share is 'extra_seconds as a share of all execution time.';
comment on column herald.query_findings.plan is 'Plan by EXPLAIN (GENERIC_PLAN).';
comment on column herald.query_findings.plan_reason is 'Why there is none.';
comment on column herald.query_findings.query_id is 'pg_stat_statements.queryid.';
comment on column herald.query_findings.toplevel is 'Asked by a client; false: by a function.';
comment on column herald.query_findings.found_at is 'When, by this database''s clock.';
