insert into herald.security_scan (
    database, system_identifier, database_oid, task, window_key, rules, not_visible,
    open_critical, open_high, open_medium, open_low, accepted, run_id
)
select
    %(database)s, %(system_identifier)s, %(database_oid)s, %(task)s, %(window)s, %(rules)s, %(hidden)s::jsonb,
    counts.critical, counts.high, counts.medium, counts.low, %(accepted)s, %(run_id)s
from jsonb_to_record(%(counts)s::jsonb) as counts (critical integer, high integer, medium integer, low integer)
