-- The groups that share the ops database. `herald migrate` runs this file itself; where its role may not create roles
-- (no CREATEROLE), a superuser runs it once, connected to the ops database:
--     psql -f sql/roles/ops.sql "$OPS_URL"
--     grant herald_owner to <the role that migrates>;
-- and then gives people and programs what they need:
--     grant herald_writer to <the role that runs the maintenance>;
--     grant herald_analyst to <whoever reads the tables and views>;
do $$
declare
    group_name text;
begin
    foreach group_name in array array['herald_owner', 'herald_writer', 'herald_analyst'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = group_name) then
            begin
                execute format('create role %I nologin', group_name);
            exception
                -- Roles belong to the cluster: another ops database of it was first.
                when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;

    -- 16+ tells membership from the right to become the role; whoever creates a role there only administers it.
    if not pg_has_role(
        'herald_owner', case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end
    ) then
        execute format('grant herald_owner to %I', current_user);
    end if;

    if not exists (select from pg_catalog.pg_namespace where nspname = 'herald') then
        create schema herald authorization herald_owner;
    end if;
end
$$;
