select
    t.spcname as name, pg_get_userbyid(t.spcowner) as owner, pg_tablespace_location(t.oid) as location, t.spcoptions as options
from pg_tablespace as t
where t.spcname not in ('pg_default', 'pg_global')
order by t.spcname
