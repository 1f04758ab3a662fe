select pg_database_size(%(oid)s::oid) as size_bytes
