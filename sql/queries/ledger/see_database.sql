with previous as (
    -- Every part of this statement reads the table as it was before it.
    select *
      from herald.target_database
     where database = %(database)s
     order by last_seen desc
     limit 1
), seen as (
    insert into herald.target_database as known (database, system_identifier, database_oid, datname, server_version)
    values (%(database)s, %(system_identifier)s, %(database_oid)s, %(datname)s, %(server_version)s)
    on conflict (database, system_identifier, database_oid) do update
       set datname = excluded.datname,
           server_version = excluded.server_version,
           last_seen = greatest(excluded.last_seen, known.last_seen)
)
select database, datname, system_identifier, database_oid, server_version
  from previous
 where (system_identifier, database_oid) <> (%(system_identifier)s, %(database_oid)s)
