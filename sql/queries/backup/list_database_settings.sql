-- ALTER [ROLE ... IN] DATABASE ... SET: a dump without --create leaves them out.
select r.rolname as role, s.setting
from pg_db_role_setting as c
cross join unnest(c.setconfig) with ordinality as s(setting, place)
left join pg_roles as r on r.oid = c.setrole
where c.setdatabase = (select oid from pg_database where datname = current_database())
order by c.setrole, s.place
