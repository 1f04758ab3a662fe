create or replace view herald.index_soundness as
select distinct on (database, system_identifier, database_oid, object_oid)
       database,
       object_name as index_name,
       object_oid as index_oid,
       (result ->> 'sound')::boolean as sound,
       (result ->> 'with_table')::boolean as with_table,
       reason,
       (evidence ->> 'size_bytes')::numeric::bigint as size_bytes,
       (result ->> 'seconds')::double precision as seconds,
       window_key,
       run_id,
       finished_at as checked_at
  from herald.maintenance_log
 where task = 'full_database_maintenance'
   and object_oid is not null
   and result ?| array['sound', 'connection_lost']
 order by database, system_identifier, database_oid, object_oid, id desc;
comment on view herald.index_soundness is 'The newest verdict of amcheck on each b-tree that was ever looked through. An index that was rebuilt or dropped since stays with its old oid.';
comment on column herald.index_soundness.database is 'Name of the target database in the settings.';
comment on column herald.index_soundness.index_name is 'Qualified name of the index.';
comment on column herald.index_soundness.index_oid is 'Its OID in the target database.';
comment on column herald.index_soundness.sound is 'False: it is corrupt. Null: the server process ended without a word while it looked through it.';
comment on column herald.index_soundness.with_table is 'Whether each row of the table was looked up in it, too.';
comment on column herald.index_soundness.reason is 'What amcheck said of it; null when it is sound.';
comment on column herald.index_soundness.size_bytes is 'pg_relation_size of the index.';
comment on column herald.index_soundness.seconds is 'How long it took.';
comment on column herald.index_soundness.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.index_soundness.run_id is 'The run that wrote the row.';
comment on column herald.index_soundness.checked_at is 'When, by this database''s clock.';
