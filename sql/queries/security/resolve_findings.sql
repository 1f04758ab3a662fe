-- What was asked about and not found again; the findings include those that could not be looked at.
update herald.security_finding
set resolved_at = now(),
    resolved_window_key = %(window)s
where database = %(database)s
  and system_identifier = %(system_identifier)s
  and database_oid = %(database_oid)s
  and resolved_at is null
  and finding <> all(%(findings)s)
  and rule = any(%(rules)s)
