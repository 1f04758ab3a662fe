create or replace view herald.query_history as
select r.database,
       r.window_key,
       d.query_id,
       d.toplevel,
       t.query,
       sum(d.calls)::bigint as calls,
       sum(d.exec_seconds) as total_seconds,
       sum(d.exec_seconds) / nullif(sum(d.calls), 0)::double precision as mean_seconds,
       sum(d.rows)::bigint as rows,
       100.0 * sum(d.blocks_hit)::double precision / nullif(sum(d.blocks_hit + d.blocks_read), 0)::double precision as hit_percent,
       sum(d.read_seconds) as read_seconds,
       sum(d.temp_blocks)::bigint as temp_blocks,
       sum(d.wal_bytes)::bigint as wal_bytes,
       min(r.since) as since,
       max(r.taken_at) as until
  from herald.statement_reading r
  join herald.statement_delta d on d.reading_id = r.id
  left join herald.statement_text t
         on t.database = r.database
        and t.system_identifier = r.system_identifier
        and t.database_oid = r.database_oid
        and t.query_id = d.query_id
 group by r.database, r.system_identifier, r.database_oid, r.window_key, d.query_id, d.toplevel, t.query;
comment on view herald.query_history is 'What each query did in each window, whoever asked it.';
comment on column herald.query_history.database is 'Name of the target database in the settings.';
comment on column herald.query_history.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.query_history.query_id is 'pg_stat_statements.queryid.';
comment on column herald.query_history.toplevel is 'Asked by a client; false: by a function.';
comment on column herald.query_history.query is 'Text without literals; of utility statements the leading keywords alone; null where the server had lost it.';
comment on column herald.query_history.calls is 'Calls in the window.';
comment on column herald.query_history.total_seconds is 'Time of execution in the window.';
comment on column herald.query_history.mean_seconds is 'The same for a call.';
comment on column herald.query_history.rows is 'Rows that it gave or changed.';
comment on column herald.query_history.hit_percent is 'Share of its blocks found in shared_buffers, 0 to 100; null where it needed none.';
comment on column herald.query_history.read_seconds is 'Waiting for blocks; 0 without track_io_timing.';
comment on column herald.query_history.temp_blocks is 'Blocks of temporary files, read and written.';
comment on column herald.query_history.wal_bytes is 'WAL that it made.';
comment on column herald.query_history.since is 'Beginning of what was counted.';
comment on column herald.query_history.until is 'End of it.';
