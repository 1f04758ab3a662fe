insert into herald.query_finding (
    database, system_identifier, database_oid, window_key, kind, query_id, toplevel, reason, calls, mean_seconds,
    baseline_mean_seconds, extra_seconds, share, plan, plan_reason
)
select %(database)s, %(system_identifier)s, %(database_oid)s, %(window)s, given.*
from jsonb_to_recordset(%(rows)s::jsonb) as given (
    kind text, query_id bigint, toplevel boolean, reason text, calls bigint, mean_seconds double precision,
    baseline_mean_seconds double precision, extra_seconds double precision, share double precision, plan text,
    plan_reason text
)
