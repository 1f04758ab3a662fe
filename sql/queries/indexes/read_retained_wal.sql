-- WAL that replication slots keep the server from recycling, and what they may still keep before they are lost
-- (safe_wal_size: only where max_slot_wal_keep_size is set). The newest position is not known on a standby.
select
    slot_name as slot,
    pg_wal_lsn_diff(
        case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, restart_lsn
    )::bigint as retained_bytes,
    safe_wal_size as safe_bytes
from pg_replication_slots
where restart_lsn is not null
order by 2 desc
