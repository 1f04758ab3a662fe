insert into herald.index_analysis (
    database, system_identifier, database_oid, window_key,
    index_oid, schema_name, table_name, index_name, access_method, size_bytes, bloat_ratio, bloat_bytes, bloat_method,
    scans, scans_window_days, verdicts, rebuild_planned
)
select
    %(database)s, %(system_identifier)s, %(database_oid)s, %(window)s,
    given.*
from jsonb_to_recordset(%(rows)s::jsonb) as given (
    index_oid bigint, schema_name text, table_name text, index_name text, access_method text, size_bytes bigint,
    bloat_ratio double precision, bloat_bytes bigint, bloat_method text, scans bigint,
    scans_window_days double precision, verdicts jsonb, rebuild_planned boolean
)
on conflict (database, system_identifier, database_oid, window_key, index_oid) do update set
    analyzed_at = excluded.analyzed_at,
    schema_name = excluded.schema_name,
    table_name = excluded.table_name,
    index_name = excluded.index_name,
    access_method = excluded.access_method,
    size_bytes = excluded.size_bytes,
    bloat_ratio = excluded.bloat_ratio,
    bloat_bytes = excluded.bloat_bytes,
    bloat_method = excluded.bloat_method,
    scans = excluded.scans,
    scans_window_days = excluded.scans_window_days,
    verdicts = excluded.verdicts,
    rebuild_planned = excluded.rebuild_planned
