insert into herald.target_database as known (database, system_identifier, database_oid, datname, server_version)
values (%(database)s, %(system_identifier)s, %(database_oid)s, %(datname)s, %(server_version)s)
on conflict (database, system_identifier, database_oid) do update
   set datname = excluded.datname,
       server_version = excluded.server_version,
       last_seen = greatest(excluded.last_seen, known.last_seen)
