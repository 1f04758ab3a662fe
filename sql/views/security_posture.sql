create or replace view herald.security_posture as
select distinct on (s.database)
       s.database,
       s.at as scanned_at,
       s.task,
       s.window_key,
       s.rules,
       jsonb_array_length(s.not_visible) as not_visible_rules,
       s.not_visible,
       s.open_critical,
       s.open_high,
       s.open_medium,
       s.open_low,
       s.accepted
  from herald.security_scan s
 order by s.database, s.id desc;
comment on view herald.security_posture is 'What the latest scan of each database counted.';
comment on column herald.security_posture.database is 'Name of the target database in the settings.';
comment on column herald.security_posture.scanned_at is 'When, by this database''s clock.';
comment on column herald.security_posture.task is 'security_scans or comprehensive_security_audit.';
comment on column herald.security_posture.window_key is 'Window of the calendar.';
comment on column herald.security_posture.rules is 'How many rules were asked.';
comment on column herald.security_posture.not_visible_rules is 'How many of them could not be judged: they are not well.';
comment on column herald.security_posture.not_visible is 'Which, with the reason: array of {rule, reason}.';
comment on column herald.security_posture.open_critical is 'Findings of severity critical that are not accepted.';
comment on column herald.security_posture.open_high is 'The same of high.';
comment on column herald.security_posture.open_medium is 'The same of medium.';
comment on column herald.security_posture.open_low is 'The same of low.';
comment on column herald.security_posture.accepted is 'Findings that the settings accept.';
