-- Backups and what was proven of them. The store is what counts: these rows are a copy of its manifests and proofs, made again
-- from it when they are lost. Runs as herald_owner.

create table herald.backup (
    id                text primary key,
    platform          text not null,
    host              text not null,
    kind              text not null,
    database          text not null,
    system_identifier text,
    database_oid      bigint,
    server_version    integer,
    started_at        timestamptz not null,
    finished_at       timestamptz not null,
    window_key        text collate "C",
    run_id            text,
    clear_bytes       bigint not null,
    stored_bytes      bigint not null,
    seconds           double precision not null,
    content_sha256    text not null,
    key_fingerprint   text not null,
    recipients        text[] not null default '{}',
    store_url         text not null,
    recorded_at       timestamptz not null default clock_timestamp(),
    deleted_at        timestamptz,
    deletion_reason   text,
    constraint backup_kind_known check (kind in ('database', 'application', 'configuration')),
    constraint backup_deletion_has_reason check ((deleted_at is null) = (deletion_reason is null))
);
comment on table herald.backup is 'Every backup that became visible in the store, one row each; a deleted one keeps its row.';
comment on column herald.backup.id is 'Its id: <name>-<time>-<random>.';
comment on column herald.backup.platform is 'Platform of the settings: a part of its place in the store.';
comment on column herald.backup.host is 'Host that made it.';
comment on column herald.backup.kind is 'database, application or configuration.';
comment on column herald.backup.database is 'Name of the target database in the settings; of files, the name that they are kept under.';
comment on column herald.backup.system_identifier is 'Which cluster it was: pg_control_system(); null for files.';
comment on column herald.backup.database_oid is 'Which database of that cluster it was; null for files.';
comment on column herald.backup.server_version is 'server_version_num: 180006 is 18.6; null for files.';
comment on column herald.backup.started_at is 'When it began, by the clock of its host: what is in it was there then.';
comment on column herald.backup.finished_at is 'When it became visible, by the clock of its host.';
comment on column herald.backup.window_key is 'Window of the calendar; null when it was asked for by hand.';
comment on column herald.backup.run_id is 'The run that made it.';
comment on column herald.backup.clear_bytes is 'Bytes before compression and encryption, all parts.';
comment on column herald.backup.stored_bytes is 'Bytes in the store, all parts.';
comment on column herald.backup.seconds is 'How long it took.';
comment on column herald.backup.content_sha256 is 'Hash of what its manifest says of its content: the same after a rekeying.';
comment on column herald.backup.key_fingerprint is 'Key of the ring that it is encrypted or signed with.';
comment on column herald.backup.recipients is 'Fingerprints of the public keys that it is encrypted to; none: a passphrase.';
comment on column herald.backup.store_url is 'Where it is, without secrets.';
comment on column herald.backup.recorded_at is 'When the row was written, by this database''s clock.';
comment on column herald.backup.deleted_at is 'When its deletion was decided, by this database''s clock: written before anything of it is removed.';
comment on column herald.backup.deletion_reason is 'Why it was deleted.';

create index backup_latest on herald.backup (kind, database, host, started_at desc);

-- The writer adds backups and writes that they are deleted or rekeyed; nothing else of them changes.
revoke update, delete on herald.backup from herald_writer;
grant update (stored_bytes, key_fingerprint, recipients, deleted_at, deletion_reason) on herald.backup to herald_writer;


create table herald.backup_proof (
    id             bigint generated always as identity primary key,
    backup_id      text not null references herald.backup,
    content_sha256 text not null,
    scope          text not null,
    passed         boolean not null,
    reason         text,
    at             timestamptz not null,
    seconds        double precision not null,
    host           text not null,
    details        jsonb not null default '{}',
    recorded_at    timestamptz not null default clock_timestamp(),
    constraint backup_proof_scope_known check (scope in ('stored', 'full', 'restored')),
    constraint backup_proof_failure_has_reason check (passed = (reason is null)),
    constraint backup_proof_details_is_object check (jsonb_typeof(details) = 'object'),
    constraint backup_proof_once unique (backup_id, at, scope, host)
);
comment on table herald.backup_proof is 'What each verification of a backup found. The same lies signed beside the backup. Rows are only added.';
comment on column herald.backup_proof.id is 'Grows with every row.';
comment on column herald.backup_proof.backup_id is 'The backup.';
comment on column herald.backup_proof.content_sha256 is 'Hash of the content that was verified.';
comment on column herald.backup_proof.scope is 'stored (hashes of the stored bytes), full (decrypted, decompressed, listed) or restored (into a server, rows and b-trees compared).';
comment on column herald.backup_proof.passed is 'The verdict.';
comment on column herald.backup_proof.reason is 'Why it did not pass.';
comment on column herald.backup_proof.at is 'When the verification ended, by the clock of its host.';
comment on column herald.backup_proof.seconds is 'How long it took.';
comment on column herald.backup_proof.host is 'Host that verified.';
comment on column herald.backup_proof.details is 'Numbers: seconds by part, entries, tables, rows compared, b-trees checked, seconds of the restore.';
comment on column herald.backup_proof.recorded_at is 'When the row was written, by this database''s clock.';

create index backup_proof_latest on herald.backup_proof (backup_id, scope, at desc);
revoke update, delete on herald.backup_proof from herald_writer;
