-- What the role may read: all tables, past row-level security, and the hashes of passwords.
select
    has_table_privilege('pg_authid', 'select') as sees_passwords,
    (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as passes_row_security,
    pg_has_role('pg_read_all_data', 'usage') as reads_all,
    current_user as role
