-- What the store holds, as far as it is not known yet; of a known one, what rekeying changes.
insert into herald.backup as known (
    id, platform, host, kind, database, system_identifier, database_oid, server_version, started_at, finished_at, window_key,
    run_id, clear_bytes, stored_bytes, seconds, content_sha256, key_fingerprint, recipients, store_url
)
select
    given.id, given.platform, given.host, given.kind, given.database, given.system_identifier, given.database_oid,
    given.server_version, given.started_at, given.finished_at, given.window_key, given.run_id, given.clear_bytes,
    given.stored_bytes, given.seconds, given.content_sha256, given.key_fingerprint, given.recipients, given.store_url
from jsonb_to_recordset(%(rows)s::jsonb) as given (
    id text, platform text, host text, kind text, database text, system_identifier text, database_oid bigint,
    server_version integer, started_at timestamptz, finished_at timestamptz, window_key text, run_id text,
    clear_bytes bigint, stored_bytes bigint, seconds double precision, content_sha256 text, key_fingerprint text,
    recipients text[], store_url text
)
on conflict (id) do update set
    stored_bytes = excluded.stored_bytes,
    key_fingerprint = excluded.key_fingerprint,
    recipients = excluded.recipients
where (known.stored_bytes, known.key_fingerprint, known.recipients)
    is distinct from (excluded.stored_bytes, excluded.key_fingerprint, excluded.recipients)
