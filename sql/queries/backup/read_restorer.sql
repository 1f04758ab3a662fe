-- What a server is and what the role of the restore may do on it.
select
    current_setting('server_version_num')::int as server_version,
    pg_is_in_recovery() as is_standby,
    (select system_identifier from pg_control_system())::text as system_identifier,
    r.rolname::text as role,
    r.rolsuper as is_superuser,
    r.rolsuper or r.rolcreatedb as may_create_databases,
    r.rolsuper or r.rolcreaterole as may_create_roles,
    pg_backend_pid() as pid,
    coalesce(inet_server_addr() << inet '127.0.0.0/8' or inet_server_addr() = inet '::1', true) as is_local,
    (select setting from pg_settings where name = 'data_directory') as data_directory
from pg_roles as r
where r.rolname = current_user
