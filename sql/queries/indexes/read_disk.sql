-- Where the server keeps an index, as far as this role may know: null without pg_read_all_settings.
select
    pg_backend_pid() as pid,
    coalesce(inet_server_addr() << inet '127.0.0.0/8' or inet_server_addr() = inet '::1', true) as is_local,
    (select setting from pg_settings where name = 'data_directory') as data_directory,
    (
        select nullif(pg_tablespace_location(coalesce(nullif(c.reltablespace, 0::oid), d.dattablespace)), '')
        from pg_database as d
        left join pg_class as c on c.oid = %(index_oid)s::oid
        where d.datname = current_database()
    ) as tablespace
