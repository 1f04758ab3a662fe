-- Statements as pg_stat_statements counts them: readings, what was counted between them, baselines, findings. Runs as herald_owner.

create table herald.statement_reading (
    id                bigint generated always as identity primary key,
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    window_key        text collate "C" not null,
    previous_id       bigint not null,
    since             timestamptz not null,
    taken_at          timestamptz not null,
    stats_reset_at    timestamptz not null,
    deallocations     bigint not null,
    statements        integer not null,
    was_reset         boolean not null,
    begun_anew        integer not null,
    gone              integer not null,
    evictions         bigint not null,
    recorded_at       timestamptz not null default clock_timestamp(),
    constraint statement_reading_follows_once unique (database, system_identifier, database_oid, previous_id)
);
comment on table herald.statement_reading is 'Each reading of pg_stat_statements; what was counted since the one before is in statement_delta.';
comment on column herald.statement_reading.id is 'Grows with every reading.';
comment on column herald.statement_reading.database is 'Name of the target database in the settings.';
comment on column herald.statement_reading.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.statement_reading.database_oid is 'Which database of that cluster it was.';
comment on column herald.statement_reading.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.statement_reading.previous_id is 'The reading that it follows, 0 for the first. No two follow the same, so that nothing is counted twice.';
comment on column herald.statement_reading.since is 'From when on its delta was counted: the reading before, or when the statistics began anew since.';
comment on column herald.statement_reading.taken_at is 'When, by the target''s clock.';
comment on column herald.statement_reading.stats_reset_at is 'When all entries were discarded last.';
comment on column herald.statement_reading.deallocations is 'pg_stat_statements_info.dealloc.';
comment on column herald.statement_reading.statements is 'Entries of this database.';
comment on column herald.statement_reading.was_reset is 'Whether all counters began anew since the reading before: what was counted in between is lost.';
comment on column herald.statement_reading.begun_anew is 'Entries that began anew by themselves.';
comment on column herald.statement_reading.gone is 'Entries of the reading before that were not there any more.';
comment on column herald.statement_reading.evictions is 'How often entries were evicted since the reading before, for want of room.';
comment on column herald.statement_reading.recorded_at is 'When the row was written, by this database''s clock.';

create index statement_reading_latest on herald.statement_reading (database, taken_at desc);


create table herald.statement_delta (
    reading_id   bigint not null references herald.statement_reading on delete cascade,
    query_id     bigint not null,
    toplevel     boolean not null,
    user_oid     bigint not null,
    user_name    text not null,
    calls        bigint not null,
    rows         bigint not null,
    exec_seconds double precision not null,
    plan_seconds double precision not null,
    blocks_hit   bigint not null,
    blocks_read  bigint not null,
    read_seconds double precision not null,
    temp_blocks  bigint not null,
    wal_bytes    bigint not null,
    primary key (reading_id, query_id, toplevel, user_oid)
);
comment on table herald.statement_delta is 'What each statement of each role did between a reading and the one before. Statements that did nothing have no row.';
comment on column herald.statement_delta.reading_id is 'The reading.';
comment on column herald.statement_delta.query_id is 'pg_stat_statements.queryid.';
comment on column herald.statement_delta.toplevel is 'Asked by a client; false: by a function.';
comment on column herald.statement_delta.user_oid is 'The role that asked it.';
comment on column herald.statement_delta.user_name is 'Its name then.';
comment on column herald.statement_delta.calls is 'How often.';
comment on column herald.statement_delta.rows is 'Rows that it gave or changed.';
comment on column herald.statement_delta.exec_seconds is 'Time of execution.';
comment on column herald.statement_delta.plan_seconds is 'Time of planning; 0 without track_planning.';
comment on column herald.statement_delta.blocks_hit is 'Blocks found in shared_buffers.';
comment on column herald.statement_delta.blocks_read is 'Blocks read from outside.';
comment on column herald.statement_delta.read_seconds is 'Waiting for them; 0 without track_io_timing.';
comment on column herald.statement_delta.temp_blocks is 'Blocks of temporary files, read and written.';
comment on column herald.statement_delta.wal_bytes is 'WAL that it made.';


create table herald.statement_counter (
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    query_id          bigint not null,
    toplevel          boolean not null,
    user_oid          bigint not null,
    counting_since    timestamptz,
    calls             bigint not null,
    rows              bigint not null,
    exec_seconds      double precision not null,
    plan_seconds      double precision not null,
    blocks_hit        bigint not null,
    blocks_read       bigint not null,
    read_seconds      double precision not null,
    temp_blocks       bigint not null,
    wal_bytes         bigint not null,
    primary key (database, system_identifier, database_oid, query_id, toplevel, user_oid)
) with (fillfactor = 50);
comment on table herald.statement_counter is 'The counters as the newest reading of each database found them: what the next one is compared with.';
comment on column herald.statement_counter.database is 'Name of the target database in the settings.';
comment on column herald.statement_counter.system_identifier is 'Which cluster it was.';
comment on column herald.statement_counter.database_oid is 'Which database of that cluster it was.';
comment on column herald.statement_counter.query_id is 'pg_stat_statements.queryid.';
comment on column herald.statement_counter.toplevel is 'Asked by a client; false: by a function.';
comment on column herald.statement_counter.user_oid is 'The role that asked it.';
comment on column herald.statement_counter.counting_since is 'stats_since of PostgreSQL 17 and later.';
comment on column herald.statement_counter.calls is 'How often, since the counting began.';
comment on column herald.statement_counter.rows is 'Rows that it gave or changed, since the counting began.';
comment on column herald.statement_counter.exec_seconds is 'Time of execution, since the counting began.';
comment on column herald.statement_counter.plan_seconds is 'Time of planning, since the counting began.';
comment on column herald.statement_counter.blocks_hit is 'Blocks found in shared_buffers, since the counting began.';
comment on column herald.statement_counter.blocks_read is 'Blocks read from outside, since the counting began.';
comment on column herald.statement_counter.read_seconds is 'Waiting for them, since the counting began.';
comment on column herald.statement_counter.temp_blocks is 'Blocks of temporary files, read and written, since the counting began.';
comment on column herald.statement_counter.wal_bytes is 'WAL that it made, since the counting began.';


create table herald.statement_text (
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    query_id          bigint not null,
    query             text not null,
    seen_at           timestamptz not null default clock_timestamp(),
    primary key (database, system_identifier, database_oid, query_id)
);
comment on table herald.statement_text is 'Texts of statements, without literals and comments; of utility statements the leading keywords alone.';
comment on column herald.statement_text.database is 'Name of the target database in the settings.';
comment on column herald.statement_text.system_identifier is 'Which cluster it was.';
comment on column herald.statement_text.database_oid is 'Which database of that cluster it was.';
comment on column herald.statement_text.query_id is 'pg_stat_statements.queryid.';
comment on column herald.statement_text.query is 'The text.';
comment on column herald.statement_text.seen_at is 'When it was kept, by this database''s clock.';


create table herald.performance_baseline (
    id                bigint generated always as identity primary key,
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    window_key        text collate "C" not null,
    since             timestamptz not null,
    until             timestamptz not null,
    windows           integer not null,
    made_at           timestamptz not null default clock_timestamp(),
    constraint performance_baseline_once unique (database, system_identifier, database_oid, window_key)
);
comment on table herald.performance_baseline is 'What the queries of a database usually do, as of a month: the newest is what a day is compared with.';
comment on column herald.performance_baseline.id is 'Grows with every baseline.';
comment on column herald.performance_baseline.database is 'Name of the target database in the settings.';
comment on column herald.performance_baseline.system_identifier is 'Which cluster it was.';
comment on column herald.performance_baseline.database_oid is 'Which database of that cluster it was.';
comment on column herald.performance_baseline.window_key is 'Window of the calendar that made it.';
comment on column herald.performance_baseline.since is 'Beginning of what it is made of.';
comment on column herald.performance_baseline.until is 'End of what it is made of.';
comment on column herald.performance_baseline.windows is 'Windows that it is made of.';
comment on column herald.performance_baseline.made_at is 'When, by this database''s clock.';


create table herald.performance_baseline_query (
    baseline_id          bigint not null references herald.performance_baseline on delete cascade,
    query_id             bigint not null,
    toplevel             boolean not null,
    calls                bigint not null,
    rows                 bigint not null,
    exec_seconds         double precision not null,
    plan_seconds         double precision not null,
    blocks_hit           bigint not null,
    blocks_read          bigint not null,
    read_seconds         double precision not null,
    temp_blocks          bigint not null,
    wal_bytes            bigint not null,
    highest_mean_seconds double precision,
    windows              integer not null,
    primary key (baseline_id, query_id, toplevel)
);
comment on table herald.performance_baseline_query is 'What a query usually does, whoever asks it.';
comment on column herald.performance_baseline_query.baseline_id is 'The baseline.';
comment on column herald.performance_baseline_query.query_id is 'pg_stat_statements.queryid.';
comment on column herald.performance_baseline_query.toplevel is 'Asked by a client; false: by a function.';
comment on column herald.performance_baseline_query.calls is 'How often, in all of the baseline.';
comment on column herald.performance_baseline_query.rows is 'Rows that it gave or changed, in all of the baseline.';
comment on column herald.performance_baseline_query.exec_seconds is 'Time of execution, in all of the baseline.';
comment on column herald.performance_baseline_query.plan_seconds is 'Time of planning, in all of the baseline.';
comment on column herald.performance_baseline_query.blocks_hit is 'Blocks found in shared_buffers, in all of the baseline.';
comment on column herald.performance_baseline_query.blocks_read is 'Blocks read from outside, in all of the baseline.';
comment on column herald.performance_baseline_query.read_seconds is 'Waiting for them, in all of the baseline.';
comment on column herald.performance_baseline_query.temp_blocks is 'Blocks of temporary files, read and written, in all of the baseline.';
comment on column herald.performance_baseline_query.wal_bytes is 'WAL that it made, in all of the baseline.';
comment on column herald.performance_baseline_query.highest_mean_seconds is 'Mean of a call in the slowest window with calls enough to judge; null without one.';
comment on column herald.performance_baseline_query.windows is 'Windows in which it was called.';


create table herald.query_finding (
    database              text not null,
    system_identifier     text not null,
    database_oid          bigint not null,
    window_key            text collate "C" not null,
    kind                  text not null,
    query_id              bigint not null,
    toplevel              boolean not null,
    reason                text not null,
    calls                 bigint not null,
    mean_seconds          double precision,
    baseline_mean_seconds double precision,
    extra_seconds         double precision not null,
    share                 double precision not null,
    plan                  text,
    plan_reason           text,
    found_at              timestamptz not null default clock_timestamp(),
    primary key (database, system_identifier, database_oid, window_key, kind, query_id, toplevel),
    constraint query_finding_kind_known check (kind in ('regression', 'slow', 'new', 'vanished')),
    constraint query_finding_plan_or_reason check ((plan is null) <> (plan_reason is null))
);
comment on table herald.query_finding is 'What the analysis of a window said of single queries.';
comment on column herald.query_finding.database is 'Name of the target database in the settings.';
comment on column herald.query_finding.system_identifier is 'Which cluster it was.';
comment on column herald.query_finding.database_oid is 'Which database of that cluster it was.';
comment on column herald.query_finding.window_key is 'Window of the calendar.';
comment on column herald.query_finding.kind is 'regression, slow, new or vanished.';
comment on column herald.query_finding.query_id is 'pg_stat_statements.queryid.';
comment on column herald.query_finding.toplevel is 'Asked by a client; false: by a function.';
comment on column herald.query_finding.reason is 'Why, for people.';
comment on column herald.query_finding.calls is 'Calls in the window.';
comment on column herald.query_finding.mean_seconds is 'Mean of a call in the window.';
comment on column herald.query_finding.baseline_mean_seconds is 'Mean of a call in the baseline.';
comment on column herald.query_finding.extra_seconds is 'Time beyond the baseline (regression), all time (new, slow), or the time that it used to take (vanished).';
comment on column herald.query_finding.share is 'extra_seconds as a share of all execution time.';
comment on column herald.query_finding.plan is 'Plan by EXPLAIN (GENERIC_PLAN).';
comment on column herald.query_finding.plan_reason is 'Why there is none.';
comment on column herald.query_finding.found_at is 'When, by this database''s clock.';
