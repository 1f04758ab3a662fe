insert into herald.security_finding as known (
    database, system_identifier, database_oid, finding, rule, object_name, severity, evidence, fix, reference,
    accepted_reason, accepted_until, first_window_key, last_window_key
)
select
    %(database)s, %(system_identifier)s, %(database_oid)s, given.finding, given.rule, given.object_name, given.severity,
    given.evidence, given.fix, given.reference, given.accepted_reason, given.accepted_until, %(window)s, %(window)s
from jsonb_to_recordset(%(rows)s::jsonb) as given (
    finding text, rule text, object_name text, severity text, evidence text, fix text, reference text,
    accepted_reason text, accepted_until date
)
on conflict (database, system_identifier, database_oid, finding) where resolved_at is null do update set
    severity = excluded.severity,
    evidence = excluded.evidence,
    fix = excluded.fix,
    reference = excluded.reference,
    accepted_reason = excluded.accepted_reason,
    accepted_until = excluded.accepted_until,
    last_window_key = excluded.last_window_key,
    last_seen_at = now()
