-- Checks that are not asked any more say nothing of now.
delete from herald.health_state
where (subject, check_name) not in (
    select subject, check_name from jsonb_to_recordset(%(known)s::jsonb) as row_ (subject text, check_name text)
)
