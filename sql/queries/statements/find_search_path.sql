-- Which search_path a role begins its sessions with in this database: its own here, its own, the database's, all roles'.
select coalesce(
    (
        select substr(setting, length('search_path=') + 1)
        from pg_db_role_setting as s
        cross join unnest(s.setconfig) as setting
        where setting like 'search_path=%%'
            and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
            and s.setrole in (0, (select oid from pg_roles where rolname = %(role)s))
        order by s.setrole = 0, s.setdatabase = 0
        limit 1
    ),
    (select boot_val from pg_settings where name = 'search_path')
) as search_path
