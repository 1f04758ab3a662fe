-- Whether the role sees what other roles' sessions do.
select current_user as role, pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
