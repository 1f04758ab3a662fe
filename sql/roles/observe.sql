-- The least rights for watching a target database: what `observe` in herald.yaml needs. A superuser runs this once,
-- connected to the database; running it again changes nothing:
--     psql -f sql/roles/observe.sql "postgresql://postgres@host/shop"
-- Then give the role a password (psql's \password sends it hashed) or a line in pg_hba.conf.
--
-- Optional, in the same database:
--   Exact bloat. The extension reads pages; pg_monitor may call it (through pg_stat_scan_tables):
--       create extension if not exists pgstattuple;
--   Statistics of statements, with shared_preload_libraries = 'pg_stat_statements':
--       create extension if not exists pg_stat_statements;
--   Plans of queries that became slow, on 16 and later: planning needs the rights that running would. The planner itself
--   runs functions. Herald plans no text that could reach one of somebody else's, but a role that makes views and
--   functions and is quick could still have its code read what this role may (docs/performance.md, Plans). So grant single
--   tables; all, only where you trust every role that may create functions:
--       grant select on shop.orders to herald_observe;
--       grant pg_read_all_data to herald_observe;
--   Corrupt b-trees found:
--       create extension if not exists amcheck schema public;
--       grant execute on function public.bt_index_check(regclass, boolean) to herald_observe;
--   Estimates without reading pages. pg_stats shows a column only to those who may select it, so this lets the role
--   read the rows themselves; grant the indexed columns alone, or leave it and large indexes are measured instead:
--       grant usage on schema shop to herald_observe;
--       grant select (id, customer_id) on shop.orders to herald_observe;
--   Lines of pg_hba.conf, which the scans of security judge; without, they are told as not visible:
--       grant select on pg_hba_file_rules to herald_observe;
--       grant execute on function pg_hba_file_rules() to herald_observe;
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'herald_observe') then
        create role herald_observe login;
    end if;
    execute format('grant connect on database %I to herald_observe', current_database());
end
$$;

-- All statistics views, the texts of statements, sizes, WAL; no rows of any table.
grant pg_monitor to herald_observe;

-- A second bar beside the missing rights.
alter role herald_observe set default_transaction_read_only = on;

comment on role herald_observe is 'Herald watches this server: statistics only, no rows.';
