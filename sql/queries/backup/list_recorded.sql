-- Backups of a platform that should be in the store, oldest first.
select id, kind, database, host, started_at, clear_bytes, stored_bytes
from herald.backup
where platform = %(platform)s
    and store_url = %(store_url)s
    and deleted_at is null
order by started_at, id
