-- When each index that was ever used was last used; PostgreSQL 16 or newer.
select
    i.indexrelid as oid,
    pg_stat_get_lastscan(i.indexrelid) as last_scan_at
from pg_index as i
join pg_class as t on t.oid = i.indrelid
where t.relkind in ('r', 'm')
    and pg_stat_get_lastscan(i.indexrelid) is not null
