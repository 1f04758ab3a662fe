-- Every index of a table, valid or not. Takes no lock.
select indexrelid as oid
from pg_index
where indrelid = %(table_oid)s
order by 1
