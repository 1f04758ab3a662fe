-- Rebuilds whose runs died, lost the server, or failed otherwise before anybody saw what became of them, oldest first;
-- without those that a later row settles. was_repeated: a later run found the very same index still in place.
select
    log.id,
    log.object_name,
    log.object_oid,
    log.evidence,
    exists (
        select
        from herald.maintenance_log as later
        where later.database = log.database
          and later.system_identifier = log.system_identifier
          and later.database_oid = log.database_oid
          and later.task = log.task
          and later.object_oid = log.object_oid
          and later.id > log.id
          and later.evidence ? 'index_oids'
          and not later.evidence ? 'settles'
    ) as was_repeated
from herald.maintenance_log as log
where log.database = %(database)s
  and log.system_identifier = %(system_identifier)s
  and log.database_oid = %(database_oid)s
  and log.task = %(task)s
  and (log.outcome = 'interrupted' or (log.outcome = 'failed' and not log.result ? 'left_oids'))
  and log.evidence ? 'index_oids'
  and not exists (
      select
      from herald.maintenance_log as later
      where later.database = log.database
        and later.task = log.task
        and later.object_name = log.object_name
        and later.id > log.id
        and (later.evidence ->> 'settles')::bigint = log.id
  )
order by log.id
