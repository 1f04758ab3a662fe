create or replace view herald.backup_health as
with latest as (
    select distinct on (b.kind, b.database, b.host) b.*
      from herald.backup b
     -- Archived partitions do not stand for each other.
     where b.deleted_at is null and b.kind <> 'partition'
     order by b.kind, b.database, b.host, b.started_at desc, b.id desc
),
-- As retention and restores judge: a proof holds until a later verification of the same backup fails.
proven as (
    select b.kind, b.database, b.host, b.id, b.started_at, p.scope, p.at, p.seconds
      from herald.backup b
      join herald.backup_proof p on p.backup_id = b.id and p.passed
     where b.deleted_at is null
       and not exists (
               select
                 from herald.backup_proof f
                where f.backup_id = b.id and not f.passed and f.at > p.at
           )
)
select l.kind,
       l.database,
       l.host,
       l.id as newest_backup,
       l.started_at as newest_backup_at,
       extract(epoch from clock_timestamp() - l.started_at)::double precision / 3600 as newest_backup_age_hours,
       l.clear_bytes,
       l.stored_bytes,
       l.stored_bytes::double precision / nullif(l.clear_bytes, 0) as stored_ratio,
       l.seconds,
       v.id as newest_verified_backup,
       v.at as newest_verified_at,
       extract(epoch from clock_timestamp() - v.at)::double precision / 86400 as newest_verified_age_days,
       r.id as newest_proven_backup,
       r.started_at as newest_proven_backup_at,
       r.at as newest_proof_at,
       extract(epoch from clock_timestamp() - r.at)::double precision / 86400 as newest_proof_age_days,
       r.seconds as newest_proof_seconds,
       (select count(*)
          from herald.backup b
         where b.kind = l.kind and b.database = l.database and b.host = l.host and b.deleted_at is null
       ) as backups
  from latest l
  left join lateral (
           select * from proven p
            where p.kind = l.kind and p.database = l.database and p.host = l.host and p.scope in ('full', 'restored')
            order by p.started_at desc, p.at desc limit 1
       ) v on true
  left join lateral (
           select * from proven p
            where p.kind = l.kind and p.database = l.database and p.host = l.host and p.scope = 'restored'
            order by p.started_at desc, p.at desc limit 1
       ) r on true;
comment on view herald.backup_health is 'The newest backup of each database, application tree and configuration, and the newest ones that were verified and restored.';
comment on column herald.backup_health.kind is 'database, application or configuration.';
comment on column herald.backup_health.database is 'Name of the target database in the settings; of files, the name that they are kept under.';
comment on column herald.backup_health.host is 'Host that made it.';
comment on column herald.backup_health.newest_backup is 'Id of the newest backup.';
comment on column herald.backup_health.newest_backup_at is 'When it began: what is in it was there then.';
comment on column herald.backup_health.newest_backup_age_hours is 'Hours since then.';
comment on column herald.backup_health.clear_bytes is 'Its bytes before compression and encryption.';
comment on column herald.backup_health.stored_bytes is 'Its bytes in the store.';
comment on column herald.backup_health.stored_ratio is 'The second as a share of the first.';
comment on column herald.backup_health.seconds is 'How long it took.';
comment on column herald.backup_health.newest_verified_backup is 'Id of the newest backup that was verified in full, or restored, and did not fail since.';
comment on column herald.backup_health.newest_verified_at is 'When that was.';
comment on column herald.backup_health.newest_verified_age_days is 'Days since then.';
comment on column herald.backup_health.newest_proven_backup is 'Id of the newest backup that was restored, and did not fail since.';
comment on column herald.backup_health.newest_proven_backup_at is 'When that backup began.';
comment on column herald.backup_health.newest_proof_at is 'When it was restored.';
comment on column herald.backup_health.newest_proof_age_days is 'Days since then.';
comment on column herald.backup_health.newest_proof_seconds is 'How long restoring and judging it took.';
comment on column herald.backup_health.backups is 'How many backups of it there are.';
