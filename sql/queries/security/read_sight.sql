-- Who reads, and what of that which least rights do not show: asked first, so that no refusal is in the server's log.
select
    format('%%I', r.rolname) as name,
    r.rolsuper as is_superuser,
    has_column_privilege('pg_catalog.pg_authid', 'rolname', 'select')
        and has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'select') as sees_passwords,
    has_table_privilege('pg_catalog.pg_hba_file_rules', 'select')
        and has_function_privilege('pg_catalog.pg_hba_file_rules()', 'execute') as sees_hba
from pg_catalog.pg_roles r
where r.rolname = current_user
