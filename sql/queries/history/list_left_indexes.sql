-- Indexes that rebuilds are known to have left behind, whether or not they are still there; the last rebuild of each.
select distinct on (left_index.oid)
    left_index.oid::bigint as oid,
    log.id as left_by,
    log.evidence ->> 'index' as index,
    (log.evidence ->> 'table_oid')::bigint as table_oid
from herald.maintenance_log as log
cross join lateral jsonb_array_elements_text(log.result -> 'left_oids') as left_index (oid)
where log.database = %(database)s
  and log.system_identifier = %(system_identifier)s
  and log.database_oid = %(database_oid)s
  and log.task = %(task)s
  and log.result ? 'left_oids'
order by left_index.oid, log.id desc
