-- Loading is no work of the platform's pages: only these are to be seen.
select public.pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()), 0)
