select relation.relname
from pg_index as index
join pg_class as relation on relation.oid = index.indexrelid
where index.indrelid = 'public.users'::regclass and not index.indisvalid
