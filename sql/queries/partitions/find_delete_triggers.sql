-- Whether deleting rows of a table runs somebody's triggers.
select exists (
    select from pg_trigger as t
    where t.tgrelid = %(oid)s and not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 8 <> 0
) as has_triggers
