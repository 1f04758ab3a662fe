-- Each reading of a target's counters, with what proves on every server whether they went on counting since the last one.
-- A second reading of a window adds its row here and leaves the window's snapshot as it is. Runs as herald_owner.

create table herald.counter_reading (
    id                bigint generated always as identity primary key,
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    window_key        text collate "C" not null,
    taken_at          timestamptz not null,
    servers           jsonb not null,
    constraint counter_reading_servers_is_object check (jsonb_typeof(servers) = 'object')
);
comment on table herald.counter_reading is 'Each reading of the counters of a target''s indexes. Counters are compared over readings between which no server lost its statistics.';
comment on column herald.counter_reading.id is 'Grows in the order of the readings.';
comment on column herald.counter_reading.database is 'Name of the target database in the settings.';
comment on column herald.counter_reading.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.counter_reading.database_oid is 'Which database of that cluster it was.';
comment on column herald.counter_reading.window_key is 'Window of the calendar.';
comment on column herald.counter_reading.taken_at is 'When the analysis that read them began.';
comment on column herald.counter_reading.servers is 'What each server said of its statistics, by name, times by its own clock: {"primary": {"read_at", "started_at", "stats_reset_at", "shared_reset_at", "timeline", "totals"}}.';

create index counter_reading_history on herald.counter_reading (database, system_identifier, database_oid, id);
revoke update, delete on herald.counter_reading from herald_writer;

-- Rows from before have none: nobody knows what the servers lost between them.
alter table herald.index_snapshot add column reading_id bigint references herald.counter_reading;
alter table herald.index_snapshot drop column stats_reset_at;
comment on column herald.index_snapshot.reading_id is 'The reading that the counters are of; null before there were readings.';
comment on table herald.index_snapshot is 'Counters of every index at the first reading of every window; usage is the difference of two rows. All counters are cumulative.';
comment on column herald.index_snapshot.servers is 'The same counters by server, where there are replicas: {"primary": {"scans": 1}, "replica east": {"scans": 2}}. A server that did not tell of the index is not in it.';
