insert into herald.index_snapshot (
    database, system_identifier, database_oid, window_key, taken_at, stats_reset_at,
    index_oid, schema_name, table_name, index_name, relfilenode, size_bytes, tuples, scans, tuples_read,
    tuples_fetched, blocks_hit, blocks_read, last_scan_at, table_writes, table_scans, servers
)
select
    %(database)s, %(system_identifier)s, %(database_oid)s, %(window)s, %(taken_at)s, %(stats_reset_at)s,
    given.*
from jsonb_to_recordset(%(rows)s::jsonb) as given (
    index_oid bigint, schema_name text, table_name text, index_name text, relfilenode bigint, size_bytes bigint,
    tuples double precision, scans bigint, tuples_read bigint, tuples_fetched bigint, blocks_hit bigint,
    blocks_read bigint, last_scan_at timestamptz, table_writes bigint, table_scans bigint, servers jsonb
)
on conflict (database, system_identifier, database_oid, window_key, index_oid) do update set
    taken_at = excluded.taken_at,
    stats_reset_at = excluded.stats_reset_at,
    schema_name = excluded.schema_name,
    table_name = excluded.table_name,
    index_name = excluded.index_name,
    relfilenode = excluded.relfilenode,
    size_bytes = excluded.size_bytes,
    tuples = excluded.tuples,
    scans = excluded.scans,
    tuples_read = excluded.tuples_read,
    tuples_fetched = excluded.tuples_fetched,
    blocks_hit = excluded.blocks_hit,
    blocks_read = excluded.blocks_read,
    last_scan_at = excluded.last_scan_at,
    table_writes = excluded.table_writes,
    table_scans = excluded.table_scans,
    servers = excluded.servers
