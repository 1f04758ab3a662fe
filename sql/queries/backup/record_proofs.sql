-- Proofs that are not known yet, of backups that are.
insert into herald.backup_proof (backup_id, content_sha256, scope, passed, reason, at, seconds, host, details)
select
    given.backup_id, given.content_sha256, given.scope, given.passed, given.reason, given.at, given.seconds, given.host,
    given.details
from jsonb_to_recordset(%(rows)s::jsonb) as given (
    backup_id text, content_sha256 text, scope text, passed boolean, reason text, at timestamptz,
    seconds double precision, host text, details jsonb
)
where exists (select from herald.backup as known where known.id = given.backup_id)
on conflict (backup_id, at, scope, host) do nothing
