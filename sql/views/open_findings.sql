create or replace view herald.open_findings as
with standing as (
    -- Which database a name stands for now.
    select distinct on (t.database) t.database, t.system_identifier, t.database_oid
      from herald.target_database t
     order by t.database, t.last_seen desc
)
select f.database,
       f.finding,
       f.rule,
       f.object_name,
       f.severity,
       f.evidence,
       f.fix,
       f.reference,
       f.first_seen_at,
       f.last_seen_at,
       extract(epoch from clock_timestamp() - f.first_seen_at)::double precision / 86400 as age_days,
       coalesce(f.accepted_until >= (clock_timestamp() at time zone 'UTC')::date, false) as accepted,
       f.accepted_reason,
       f.accepted_until,
       f.first_window_key,
       f.last_window_key
  from standing s
  join herald.security_finding f using (database, system_identifier, database_oid)
 where f.resolved_at is null;
comment on view herald.open_findings is 'Every weakness that is still there, as the latest scan that could see it told.';
comment on column herald.open_findings.database is 'Name of the target database in the settings; of files and packages of the maintaining host, ops.';
comment on column herald.open_findings.finding is 'Its id: the rule, a colon and the object. security.accepted in herald.yaml names it.';
comment on column herald.open_findings.rule is 'The rule: docs/security.md explains each.';
comment on column herald.open_findings.object_name is 'What is weak: a role, a table, a line of pg_hba.conf, a file; server where it is no single one.';
comment on column herald.open_findings.severity is 'critical, high, medium or low.';
comment on column herald.open_findings.evidence is 'What was last seen.';
comment on column herald.open_findings.fix is 'What mends it.';
comment on column herald.open_findings.reference is 'Where it is explained by others.';
comment on column herald.open_findings.first_seen_at is 'When it was new, by this database''s clock.';
comment on column herald.open_findings.last_seen_at is 'When it was last seen.';
comment on column herald.open_findings.age_days is 'Days since it was new.';
comment on column herald.open_findings.accepted is 'Whether the settings accepted it at the latest scan, and their last day is not over.';
comment on column herald.open_findings.accepted_reason is 'Why; also of what is over.';
comment on column herald.open_findings.accepted_until is 'Last day (UTC) on which they do.';
comment on column herald.open_findings.first_window_key is 'Window in which it was new.';
comment on column herald.open_findings.last_window_key is 'Latest window that saw it.';
