-- One index as it is now, by its oid; no row when it is gone. Takes a share lock on it and its table for a moment.
with state as materialized (
    select
        i.indexrelid as oid,
        n.nspname as schema,
        c.relname as index,
        i.indrelid as table_oid,
        t.relname as table,
        pg_relation_filenode(c.oid) as relfilenode,
        pg_relation_size(c.oid) as size_bytes,
        -- A GIN index counts its entries when it is built, and the table's rows from then on.
        least(
            nullif(c.reltuples, -1), case when a.amname = 'gin' then nullif(t.reltuples, -1) end
        )::double precision as tuples,
        i.indisvalid as is_valid,
        -- Without the names, which may change: two builds of one index have the same structure.
        replace(
            pg_get_indexdef(c.oid), format(' INDEX %%I ON %%I.%%I USING ', c.relname, tn.nspname, t.relname), ' INDEX USING '
        ) as structure
    from pg_index as i
    join pg_class as c on c.oid = i.indexrelid
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_am as a on a.oid = c.relam
    join pg_class as t on t.oid = i.indrelid
    join pg_namespace as tn on tn.oid = t.relnamespace
    where i.indexrelid = %(oid)s
)
select *
from state
-- Dropped while it was looked at, it has no size any more.
where relfilenode is not null
  and size_bytes is not null
  and structure is not null
