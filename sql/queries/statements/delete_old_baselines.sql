delete from herald.performance_baseline as b
where b.database = %(database)s
    and b.system_identifier = %(system_identifier)s
    and b.database_oid = %(database_oid)s
    and b.made_at < %(before)s
    and b.id <> %(baseline_id)s
