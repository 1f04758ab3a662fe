-- Where the server keeps its data, as far as this role may know: null without pg_read_all_settings.
select
    pg_backend_pid() as pid,
    coalesce(inet_server_addr() << inet '127.0.0.0/8' or inet_server_addr() = inet '::1', true) as is_local,
    (select setting from pg_settings where name = 'data_directory') as data_directory
