-- Of the hashes, nothing but their kind leaves the server.
select
    format('%%I', rolname) as name,
    rolpassword ~ '^md5[0-9a-f]{32}$' as is_md5
from pg_catalog.pg_authid
where rolpassword is not null
order by rolname
