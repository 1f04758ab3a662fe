-- Rebuilds that did not end well, and those of the given indexes however they ended; oldest first. One is made up
-- for when a later one of the same index was recorded as done.
select
    log.id,
    log.window_key as window,
    log.object_name,
    log.object_oid,
    log.outcome,
    log.evidence,
    exists (
        select
        from herald.maintenance_log as later
        where later.database = log.database
          and later.system_identifier = log.system_identifier
          and later.database_oid = log.database_oid
          and later.task = log.task
          and later.object_name = log.object_name
          and later.object_oid = log.object_oid
          and later.outcome = 'done'
          and later.evidence ? 'promised_bytes'
          and later.id > log.id
    ) as is_made_up_for
from herald.maintenance_log as log
where log.database = %(database)s
  and log.system_identifier = %(system_identifier)s
  and log.database_oid = %(database_oid)s
  and log.task = %(task)s
  and log.object_name is not null
  and log.evidence ? 'promised_bytes'
  -- A row that was only planned tells of no rebuild.
  and (
      log.outcome in ('failed', 'interrupted')
      or (log.outcome = 'done' and log.object_oid = any(%(index_oids)s::bigint[]))
  )
order by log.id
