-- With what was counted; the newest stays whatever its age: the next one is compared with it.
delete from herald.statement_reading as r
where r.database = %(database)s
    and r.system_identifier = %(system_identifier)s
    and r.database_oid = %(database_oid)s
    and r.taken_at < %(before)s
    and r.id <> %(reading_id)s
