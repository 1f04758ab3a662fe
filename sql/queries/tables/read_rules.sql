-- PostgreSQL's own rules on when a table needs VACUUM or ANALYZE, how old the database is, and what the role sees of it.
-- autovacuum_vacuum_max_threshold is of PostgreSQL 18.
select
    current_setting('server_version_num')::int / 10000 as major,
    current_setting('block_size')::int as block_bytes,
    current_setting('track_counts')::boolean as counts_are_kept,
    current_setting('autovacuum_vacuum_threshold')::float8 as vacuum_threshold,
    current_setting('autovacuum_vacuum_scale_factor')::float8 as vacuum_scale_factor,
    coalesce(current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8 as vacuum_max_threshold,
    current_setting('autovacuum_vacuum_insert_threshold')::float8 as insert_threshold,
    current_setting('autovacuum_vacuum_insert_scale_factor')::float8 as insert_scale_factor,
    current_setting('autovacuum_analyze_threshold')::float8 as analyze_threshold,
    current_setting('autovacuum_analyze_scale_factor')::float8 as analyze_scale_factor,
    current_setting('autovacuum_freeze_max_age')::bigint as freeze_max_age,
    current_setting('autovacuum_multixact_freeze_max_age')::bigint as multixact_freeze_max_age,
    current_setting('vacuum_freeze_table_age')::bigint as freeze_table_age,
    current_setting('vacuum_multixact_freeze_table_age')::bigint as multixact_freeze_table_age,
    current_setting('vacuum_failsafe_age')::bigint as failsafe_age,
    current_setting('vacuum_multixact_failsafe_age')::bigint as multixact_failsafe_age,
    current_setting('default_statistics_target')::int as statistics_target,
    age(d.datfrozenxid) as database_xid_age,
    mxid_age(d.datminmxid) as database_multixact_age,
    current_user as role,
    pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_sessions,
    has_table_privilege('pg_statistic', 'select') and has_table_privilege('pg_statistic_ext_data', 'select')
        as sees_statistics
from pg_database as d
where d.datname = current_database()
