-- The least rights for maintaining a target database: what `maintain` in herald.yaml needs, only for databases in
-- mode: apply. A superuser runs it once after observe.sql, connected to the database; again changes nothing:
--     psql -f sql/roles/maintain.sql "postgresql://postgres@host/shop"
--
-- To name an index one must be allowed to use its schema, so the role gets USAGE on every schema of the database:
-- run the file again when a schema was added.
--
-- PostgreSQL 17 and later: pg_maintain allows VACUUM, ANALYZE and REINDEX on every table, and nothing else. It cannot
-- drop the invalid index that an interrupted REINDEX CONCURRENTLY leaves behind: dropping is the owner's. The ledger
-- then says "refused" of such a leftover, and the check no_leftovers warns, each with the statement that the owner must
-- run; the rebuilds go on, and the window is done. To have leftovers dropped, let the role act as the owner:
--       grant shop_owner to herald_maintain;
-- Partitions need more on every version: making, detaching and dropping them is the owner's too, so membership as above, and
--       grant create on schema public to shop_owner, herald_maintain;
-- and, where a partitioned table forces row level security, `alter role herald_maintain bypassrls`.
--
-- PostgreSQL 14 to 16: only a table's owner may do these things. So the role becomes a member of every role that owns a
-- table in this database. A member may do everything that the owner may: keep the password as safe as the owner's.
-- Superusers are left out, because membership would make the role one; give their tables an owner of their own.
do $$
declare
    owner record;
    schema_name text;
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'herald_maintain') then
        create role herald_maintain login;
    end if;
    grant herald_observe to herald_maintain;
    execute format('grant connect on database %I to herald_maintain', current_database());

    for schema_name in
        select nspname from pg_catalog.pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
    loop
        execute format('grant usage on schema %I to herald_maintain', schema_name);
    end loop;

    if current_setting('server_version_num')::int >= 170000 then
        grant pg_maintain to herald_maintain;
        return;
    end if;
    for owner in
        select r.rolname as name, r.rolsuper as is_superuser, count(*) as tables
          from pg_catalog.pg_class c
          join pg_catalog.pg_roles r on r.oid = c.relowner
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'm')
           and n.nspname not in ('pg_catalog', 'information_schema')
           and n.nspname !~ '^pg_(toast|temp)'
           and r.rolname <> 'herald_maintain'
         group by r.rolname, r.rolsuper
    loop
        if owner.is_superuser then
            raise warning '% tables belong to the superuser % and cannot be maintained by herald_maintain',
                owner.tables, owner.name;
        else
            execute format('grant %I to herald_maintain', owner.name);
        end if;
    end loop;
end
$$;

comment on role herald_maintain is 'Herald maintains this server: VACUUM, ANALYZE, REINDEX.';
