-- What the ledger holds of the partitions of a database, oldest first.
select
    id,
    object_name,
    coalesce(object_oid, (result ->> 'oid')::bigint) as oid,
    outcome,
    evidence,
    result,
    started_at,
    finished_at
from herald.maintenance_log
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
  and task in ('partition_archive', 'partition_cleanup', 'partition_restore')
  and object_name is not null
  and evidence ? 'step'
order by id
