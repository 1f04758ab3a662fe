insert into herald.index_baseline (
    database, system_identifier, database_oid, index_oid, relfilenode, bytes_per_tuple, size_bytes, tuples
)
values (
    %(database)s, %(system_identifier)s, %(database_oid)s, %(index_oid)s, %(relfilenode)s,
    %(size_bytes)s / greatest(%(tuples)s::double precision, 1), %(size_bytes)s, %(tuples)s
)
on conflict (database, system_identifier, database_oid, index_oid) do update set
    relfilenode = excluded.relfilenode,
    bytes_per_tuple = excluded.bytes_per_tuple,
    size_bytes = excluded.size_bytes,
    tuples = excluded.tuples,
    measured_at = default
