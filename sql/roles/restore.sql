-- The rights for restores: what `restore` in herald.yaml needs. A superuser runs this once, on the server that is restored
-- to:
--     psql -f sql/roles/restore.sql "postgresql://postgres@host/postgres"
--
-- CREATEDB makes the database that is restored into; renaming the old one takes its ownership, so the role must be a member
-- of the owner:
--     grant shop_owner to herald_restore;
-- It ends other sessions of that database by pg_signal_backend, but for those of superusers. What only a superuser can
-- restore (event triggers, publications of all tables, untrusted languages, extensions that are not trusted, roles that are
-- missing) is named before anything is restored; for a new server, let `restore` be a superuser.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'herald_restore') then
        create role herald_restore login createdb;
    end if;
end
$$;

alter role herald_restore createdb;
grant pg_signal_backend to herald_restore;
-- What is in the way of a swap: sessions, slots, prepared transactions.
grant pg_monitor to herald_restore;

comment on role herald_restore is 'Herald restores into this server: creates databases and swaps them in.';
