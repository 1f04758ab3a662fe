-- The least rights for dumps: what `backup` in herald.yaml needs. A superuser runs this once, connected to the database;
-- running it again changes nothing:
--     psql -f sql/roles/backup.sql "postgresql://postgres@host/shop"
-- Then give the role a password (psql's \password sends it hashed) or a line in pg_hba.conf.
--
-- Row-level security: a dump must hold all rows, and pg_dump refuses to begin where a policy would hide some from its role.
-- Where tables have policies, let the role pass them:
--     alter role herald_backup bypassrls;
--
-- Hashes of passwords: only superusers read them. Without, a restore on a new server makes the missing roles without
-- passwords, and says so.
--
-- Large objects: pg_read_all_data does not read them before PostgreSQL 18. Where there are some, the role needs SELECT on
-- each, membership of their owners, or `alter role herald_backup set lo_compat_privileges = on` by a superuser.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'herald_backup') then
        create role herald_backup login;
    end if;
    execute format('grant connect on database %I to herald_backup', current_database());
end
$$;

-- Every table, view, sequence and schema, now and later; no writing.
grant pg_read_all_data to herald_backup;

-- Another bar beside the missing rights.
alter role herald_backup set default_transaction_read_only = on;

comment on role herald_backup is 'Herald backs up this server: reads all rows, writes none.';
