-- ALTER ROLE ... SET for all databases.
select r.rolname as role, s.setting
from pg_db_role_setting as c
join pg_roles as r on r.oid = c.setrole
cross join unnest(c.setconfig) with ordinality as s(setting, place)
where c.setdatabase = 0
order by r.rolname, s.place
