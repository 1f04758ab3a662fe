-- The library must be loaded, and then its settings are the server's; a line of a file alone makes a setting of another context.
select
    current_database() as datname,
    current_user as role,
    e.extversion as version,
    n.nspname as schema,
    exists (
        select from pg_settings where name = 'pg_stat_statements.max' and context = 'postmaster'
    ) as is_loaded,
    exists (select from pg_available_extensions where name = 'pg_stat_statements') as is_available,
    (select setting from pg_settings where name = 'shared_preload_libraries') as preloaded,
    coalesce(has_schema_privilege(n.oid, 'usage'), false) as may_use_schema,
    pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from (values (1)) as one (row)
left join pg_extension as e on e.extname = 'pg_stat_statements'
left join pg_namespace as n on n.oid = e.extnamespace
