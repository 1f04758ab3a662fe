-- Indexes that CREATE INDEX or REINDEX is working on in this database. table_oid is null where this role may not
-- see the progress of others (pg_read_all_stats): some build is going on, somewhere.
select
    pid,
    relid as table_oid,
    nullif(index_relid, 0::oid) as index_oid,
    phase,
    blocks_done,
    blocks_total
from pg_stat_progress_create_index
where datid = (select oid from pg_database where datname = current_database())
