-- The ledger, what it speaks of, and who may do what. Runs as herald_owner.

comment on schema herald is 'Maintenance as it was planned, done and measured. Read the views; the tables are their history.';

grant usage on schema herald to herald_writer, herald_analyst;
alter default privileges for role herald_owner in schema herald
    grant select, insert, update, delete on tables to herald_writer;
alter default privileges for role herald_owner in schema herald
    grant select on tables to herald_analyst;
-- Created before the default privileges were set.
grant select on herald.schema_version to herald_writer, herald_analyst;
comment on table herald.schema_version is 'The newest migration that was applied to this database.';
comment on column herald.schema_version.version_num is 'Its number: 0002.';


create table herald.view_source (
    view_name  text primary key,
    source_md5 text not null,
    applied_at timestamptz not null default clock_timestamp()
);
comment on table herald.view_source is 'Which text each view was made from, so that an upgrade replaces only what changed.';
comment on column herald.view_source.view_name is 'Name of the view.';
comment on column herald.view_source.source_md5 is 'MD5 of the file in sql/views.';
comment on column herald.view_source.applied_at is 'When it was run, by this database''s clock.';
revoke insert, update, delete on herald.view_source from herald_writer;


create table herald.target_database (
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    datname           text not null,
    server_version    integer not null,
    first_seen        timestamptz not null default clock_timestamp(),
    last_seen         timestamptz not null default clock_timestamp(),
    primary key (database, system_identifier, database_oid)
);
comment on table herald.target_database is 'The databases that were maintained: one row for each real database that a name ever stood for.';
comment on column herald.target_database.database is 'Name in the settings.';
comment on column herald.target_database.system_identifier is 'pg_control_system(): set by initdb, kept by physical copies.';
comment on column herald.target_database.database_oid is 'pg_database.oid.';
comment on column herald.target_database.datname is 'Name on its server.';
comment on column herald.target_database.server_version is 'server_version_num when last seen: 180006 is 18.6.';
comment on column herald.target_database.first_seen is 'First contact with this real database under this name.';
comment on column herald.target_database.last_seen is 'Latest contact; the newest row of a name is what the name stands for now.';


create table herald.maintenance_log (
    id                bigint generated always as identity primary key,
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    task              text not null,
    window_key        text collate "C" not null,
    object_name       text,
    object_oid        bigint,
    outcome           text not null,
    reason            text,
    evidence          jsonb not null default '{}',
    result            jsonb not null default '{}',
    run_id            text,
    started_at        timestamptz not null default clock_timestamp(),
    finished_at       timestamptz,
    constraint maintenance_log_outcome_known check (
        outcome in ('running', 'planned', 'done', 'skipped', 'refused', 'failed', 'interrupted')
    ),
    constraint maintenance_log_open_is_running check ((finished_at is null) = (outcome = 'running')),
    constraint maintenance_log_oid_has_name check (object_oid is null or object_name is not null),
    constraint maintenance_log_evidence_is_object check (jsonb_typeof(evidence) = 'object'),
    constraint maintenance_log_result_is_object check (jsonb_typeof(result) = 'object')
);
comment on table herald.maintenance_log is
    'The ledger: one row written before each action on each object and closed after it. A row without an object is the task''s own row for the window. A closed row cannot be changed.';
comment on column herald.maintenance_log.id is 'Grows with every row that is opened.';
comment on column herald.maintenance_log.database is 'Name of the target database in the settings.';
comment on column herald.maintenance_log.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.maintenance_log.database_oid is 'Which database of that cluster it was.';
comment on column herald.maintenance_log.task is 'Task of the calendar: index_rebuild.';
comment on column herald.maintenance_log.window_key is 'Window of the calendar: 2026-11-24, or 2026-11-24T02:30 for slots finer than a day (UTC).';
comment on column herald.maintenance_log.object_name is 'Qualified name of what was acted on; null for the task''s own row.';
comment on column herald.maintenance_log.object_oid is 'Its OID in the target database.';
comment on column herald.maintenance_log.outcome is 'running (open), planned, done, skipped, refused (by a guard), failed, interrupted (found open by a later run).';
comment on column herald.maintenance_log.reason is 'Why it was planned, skipped or refused, or how it failed.';
comment on column herald.maintenance_log.evidence is 'What was measured before; for the task''s own row: mode, late, covered.';
comment on column herald.maintenance_log.result is 'What was measured after.';
comment on column herald.maintenance_log.run_id is 'The run that wrote the row.';
comment on column herald.maintenance_log.started_at is 'When the row was opened, by this database''s clock.';
comment on column herald.maintenance_log.finished_at is 'When it was closed, by this database''s clock; null exactly while running.';

-- What a run looks for before it starts: rows left open by one that died.
create index maintenance_log_open on herald.maintenance_log (database, task) where finished_at is null;
-- Which windows are complete.
create index maintenance_log_windows on herald.maintenance_log (window_key, database, task) where object_name is null;
-- The last state per object.
create index maintenance_log_objects on herald.maintenance_log (database, task, object_name, id desc)
    where object_name is not null;

create function herald.refuse_rewriting() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    raise exception 'row % of % is closed and cannot be changed', old.id, tg_table_name
        using errcode = 'restrict_violation';
end
$$;
comment on function herald.refuse_rewriting() is 'A record that its writer can rewrite proves nothing.';

create trigger closed_rows_stay before update on herald.maintenance_log
    for each row when (old.finished_at is not null) execute function herald.refuse_rewriting();

-- The writer opens rows and closes them; only the owner may delete, for retention.
revoke update, delete on herald.maintenance_log from herald_writer;
grant update (outcome, reason, result, finished_at) on herald.maintenance_log to herald_writer;


create table herald.check_result (
    id                bigint generated always as identity primary key,
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    task              text not null,
    window_key        text collate "C" not null,
    asset             text not null,
    check_name        text not null,
    passed            boolean not null,
    severity          text not null,
    metadata          jsonb not null default '{}',
    run_id            text,
    at                timestamptz not null default clock_timestamp(),
    constraint check_result_severity_known check (severity in ('WARN', 'ERROR'))
);
comment on table herald.check_result is 'Every verdict of an asset check. Rows are only added.';
comment on column herald.check_result.id is 'Grows with every verdict.';
comment on column herald.check_result.database is 'Name of the target database in the settings.';
comment on column herald.check_result.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.check_result.database_oid is 'Which database of that cluster it was.';
comment on column herald.check_result.task is 'Task of the calendar.';
comment on column herald.check_result.window_key is 'Window of the calendar.';
comment on column herald.check_result.asset is 'Key of the asset that was judged: herald/index_analysis.';
comment on column herald.check_result.check_name is 'Name of the check.';
comment on column herald.check_result.passed is 'Whether it passed.';
comment on column herald.check_result.severity is 'WARN or ERROR: what a failure means.';
comment on column herald.check_result.metadata is 'The numbers behind the verdict.';
comment on column herald.check_result.run_id is 'The run that wrote the row.';
comment on column herald.check_result.at is 'When, by this database''s clock.';

create index check_result_latest on herald.check_result (database, asset, check_name, id desc);
revoke update, delete on herald.check_result from herald_writer;
