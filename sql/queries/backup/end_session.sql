-- Ends a session of a database, and no other that has its pid by now.
select pg_terminate_backend(pid) from pg_stat_activity where pid = %(pid)s and datid = %(oid)s::oid
