-- Findings of security, each from when it was first seen to when it was no more, and every scan. Runs as herald_owner.

create table herald.security_finding (
    id                  bigint generated always as identity primary key,
    database            text not null,
    system_identifier   text not null,
    database_oid        bigint not null,
    finding             text not null,
    rule                text not null,
    object_name         text not null,
    severity            text not null,
    evidence            text not null,
    fix                 text not null,
    reference           text,
    accepted_reason     text,
    accepted_until      date,
    first_window_key    text collate "C" not null,
    first_seen_at       timestamptz not null default now(),
    last_window_key     text collate "C" not null,
    last_seen_at        timestamptz not null default now(),
    resolved_window_key text collate "C",
    resolved_at         timestamptz,
    constraint security_finding_severity_known check (severity in ('critical', 'high', 'medium', 'low')),
    constraint security_finding_accepted_has_end check ((accepted_reason is null) = (accepted_until is null)),
    constraint security_finding_resolved_in_window check ((resolved_window_key is null) = (resolved_at is null))
);
comment on table herald.security_finding is 'Every weakness that a scan found, one row from its first sight to its end; one that comes back has another row. No row holds a secret.';
comment on column herald.security_finding.id is 'Grows with every finding.';
comment on column herald.security_finding.database is 'Name of the target database in the settings.';
comment on column herald.security_finding.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.security_finding.database_oid is 'Which database of that cluster it was.';
comment on column herald.security_finding.finding is 'Its id: the rule, a colon and the object. security.accepted in herald.yaml names it.';
comment on column herald.security_finding.rule is 'The rule: docs/security.md explains each.';
comment on column herald.security_finding.object_name is 'What is weak: a role, a table, a line of pg_hba.conf, a file; server where it is no single one.';
comment on column herald.security_finding.severity is 'critical, high, medium or low, as last seen.';
comment on column herald.security_finding.evidence is 'What was last seen.';
comment on column herald.security_finding.fix is 'What mends it.';
comment on column herald.security_finding.reference is 'Where it is explained by others.';
comment on column herald.security_finding.accepted_reason is 'Why the settings accept it, as of the last scan that saw it.';
comment on column herald.security_finding.accepted_until is 'Last day (UTC) on which they do.';
comment on column herald.security_finding.first_window_key is 'Window in which it was new.';
comment on column herald.security_finding.first_seen_at is 'When that was, by this database''s clock.';
comment on column herald.security_finding.last_window_key is 'Latest window that saw it.';
comment on column herald.security_finding.last_seen_at is 'When that was, by this database''s clock.';
comment on column herald.security_finding.resolved_window_key is 'Window that saw its rule judged and did not find it any more; null while it is open.';
comment on column herald.security_finding.resolved_at is 'When that was, by this database''s clock.';

create unique index security_finding_open on herald.security_finding (database, system_identifier, database_oid, finding)
    where resolved_at is null;
create index security_finding_resolved on herald.security_finding (database, resolved_at) where resolved_at is not null;
revoke delete on herald.security_finding from herald_writer;


create table herald.security_scan (
    id                bigint generated always as identity primary key,
    database          text not null,
    system_identifier text not null,
    database_oid      bigint not null,
    task              text not null,
    window_key        text collate "C" not null,
    at                timestamptz not null default now(),
    rules             integer not null,
    not_visible       jsonb not null,
    open_critical     integer not null,
    open_high         integer not null,
    open_medium       integer not null,
    open_low          integer not null,
    accepted          integer not null,
    run_id            text,
    constraint security_scan_not_visible_is_array check (jsonb_typeof(not_visible) = 'array')
);
comment on table herald.security_scan is 'Every scan that was completed. Rows are only added.';
comment on column herald.security_scan.id is 'Grows with every scan.';
comment on column herald.security_scan.database is 'Name of the target database in the settings.';
comment on column herald.security_scan.system_identifier is 'Which cluster it was: pg_control_system().';
comment on column herald.security_scan.database_oid is 'Which database of that cluster it was.';
comment on column herald.security_scan.task is 'security_scans or comprehensive_security_audit.';
comment on column herald.security_scan.window_key is 'Window of the calendar.';
comment on column herald.security_scan.at is 'When, by this database''s clock.';
comment on column herald.security_scan.rules is 'How many rules were asked.';
comment on column herald.security_scan.not_visible is 'Rules that could not be judged, with the reason: array of {rule, reason}. They are not well.';
comment on column herald.security_scan.open_critical is 'Findings of severity critical that are not accepted.';
comment on column herald.security_scan.open_high is 'The same of high.';
comment on column herald.security_scan.open_medium is 'The same of medium.';
comment on column herald.security_scan.open_low is 'The same of low.';
comment on column herald.security_scan.accepted is 'Findings that the settings accept.';
comment on column herald.security_scan.run_id is 'The run that wrote the row.';

create index security_scan_latest on herald.security_scan (database, id desc);
revoke update, delete on herald.security_scan from herald_writer;
