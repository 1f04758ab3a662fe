-- Indexes that a restore left unfinished; a dump holds none.
select indexrelid::regclass::text as name
from pg_index
where not (indisvalid and indisready and indislive)
order by 1
