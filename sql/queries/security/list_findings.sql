select finding, rule, object_name, severity, evidence, fix, reference, first_seen_at, resolved_at
from herald.security_finding
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
  and (resolved_at is null or resolved_at > coalesce(%(since)s::timestamptz, '-infinity'))
order by first_seen_at, finding
