select d.datname,
       d.oid::bigint as database_oid,
       c.system_identifier::text as system_identifier,
       current_setting('server_version_num')::int as server_version,
       pg_is_in_recovery() as is_standby
  from pg_database d,
       pg_control_system() c
 where d.datname = current_database()
