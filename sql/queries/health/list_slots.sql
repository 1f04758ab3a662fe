-- to_jsonb, because invalidation_reason came with 17.
select
    slot_name::text as slot,
    active,
    wal_status,
    safe_wal_size as safe_bytes,
    greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint as retained_bytes,
    to_jsonb(s) ->> 'invalidation_reason' as invalidation_reason
from pg_replication_slots as s
where not temporary
order by slot_name
