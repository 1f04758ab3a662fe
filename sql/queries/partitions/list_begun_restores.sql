-- Restores of partitions that were begun and whose end is not proven.
select object_name, evidence ->> 'backup' as backup
from herald.maintenance_log
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
  and task = 'partition_restore'
  and evidence ->> 'step' = 'restore'
  and outcome in ('running', 'interrupted', 'failed')
order by id
