-- An index as the catalog names it now, by its oid; no row when it is gone. Takes no lock on it.
select
    n.nspname as schema,
    c.relname as index,
    tn.nspname as table_schema,
    t.relname as table,
    t.relkind as table_kind,
    pg_relation_filenode(c.oid) as relfilenode,
    i.indisvalid as is_valid
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_class as t on t.oid = i.indrelid
join pg_namespace as tn on tn.oid = t.relnamespace
where i.indexrelid = %(oid)s
