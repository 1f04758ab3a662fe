-- The reading, and its counters where the window has none of an index yet: replacing them would erase what they prove.
with reading as (
    insert into herald.counter_reading (
        database, system_identifier, database_oid, window_key, taken_at, servers
    )
    values (
        %(database)s, %(system_identifier)s, %(database_oid)s, %(window)s, %(taken_at)s, %(servers)s::jsonb
    )
    returning *
)
insert into herald.index_snapshot (
    database, system_identifier, database_oid, window_key, taken_at, reading_id,
    index_oid, schema_name, table_name, index_name, relfilenode, size_bytes, tuples, scans, tuples_read,
    tuples_fetched, blocks_hit, blocks_read, last_scan_at, table_writes, table_scans, servers
)
select
    reading.database, reading.system_identifier, reading.database_oid, reading.window_key, reading.taken_at, reading.id,
    given.*
from reading
cross join jsonb_to_recordset(%(rows)s::jsonb) as given (
    index_oid bigint, schema_name text, table_name text, index_name text, relfilenode bigint, size_bytes bigint,
    tuples double precision, scans bigint, tuples_read bigint, tuples_fetched bigint, blocks_hit bigint,
    blocks_read bigint, last_scan_at timestamptz, table_writes bigint, table_scans bigint, servers jsonb
)
on conflict (database, system_identifier, database_oid, window_key, index_oid) do nothing
