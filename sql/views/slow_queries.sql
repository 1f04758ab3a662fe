create or replace view herald.slow_queries as
with latest as (
    select distinct on (r.database) r.database, r.system_identifier, r.database_oid, r.window_key
      from herald.statement_reading r
     order by r.database, r.taken_at desc
)
select r.database,
       t.query,
       sum(d.calls)::bigint as calls,
       sum(d.exec_seconds) as total_seconds,
       sum(d.exec_seconds) / sum(d.calls) as mean_seconds,
       sum(d.rows)::bigint as rows,
       100.0 * sum(d.blocks_hit)::double precision / nullif(sum(d.blocks_hit + d.blocks_read), 0)::double precision as hit_percent,
       array_agg(distinct d.user_name order by d.user_name) as user_names,
       d.query_id,
       d.toplevel,
       r.window_key,
       min(r.since) as since,
       max(r.taken_at) as until
  from latest l
  join herald.statement_reading r using (database, system_identifier, database_oid, window_key)
  join herald.statement_delta d on d.reading_id = r.id
  left join herald.statement_text t
         on t.database = r.database
        and t.system_identifier = r.system_identifier
        and t.database_oid = r.database_oid
        and t.query_id = d.query_id
 group by r.database, r.window_key, d.query_id, d.toplevel, t.query
having sum(d.exec_seconds) > sum(d.calls) and sum(d.calls) > 0
 order by mean_seconds desc;
comment on view herald.slow_queries is 'Queries that took more than a second a call on average in the newest window of each database, the slowest first.';
comment on column herald.slow_queries.database is 'Name of the target database in the settings.';
comment on column herald.slow_queries.query is 'Text without literals; of utility statements the leading keywords alone; null where the server had lost it.';
comment on column herald.slow_queries.calls is 'Calls in the window.';
comment on column herald.slow_queries.total_seconds is 'Time of execution in the window.';
comment on column herald.slow_queries.mean_seconds is 'The same for a call.';
comment on column herald.slow_queries.rows is 'Rows that it gave or changed.';
comment on column herald.slow_queries.hit_percent is 'Share of its blocks found in shared_buffers, 0 to 100; null where it needed none.';
comment on column herald.slow_queries.user_names is 'The roles that asked it.';
comment on column herald.slow_queries.query_id is 'pg_stat_statements.queryid.';
comment on column herald.slow_queries.toplevel is 'Asked by a client; false: by a function.';
comment on column herald.slow_queries.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.slow_queries.since is 'Beginning of what was counted.';
comment on column herald.slow_queries.until is 'End of it.';
