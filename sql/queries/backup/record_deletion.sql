-- Before it is removed, so that a kill in between leaves no manifest that is missed; once decided, it stays so.
update herald.backup
set deleted_at = clock_timestamp(), deletion_reason = %(reason)s
where id = %(id)s
    and deleted_at is null
