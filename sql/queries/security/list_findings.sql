select finding, severity, first_window_key, first_seen_at, resolved_window_key, resolved_at
from herald.security_finding
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
  and (resolved_at is null or resolved_at >= %(since)s)
order by first_seen_at, finding
