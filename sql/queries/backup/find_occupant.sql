-- The database that has a name now, and what would be in the way of renaming it.
select
    d.oid::bigint as oid,
    d.datname::text as name,
    pg_get_userbyid(d.datdba)::text as owner,
    pg_has_role(d.datdba, 'USAGE') as may_own,
    d.datallowconn as allows_connections,
    d.datistemplate as is_template,
    shobj_description(d.oid, 'pg_database') as comment,
    array(select p.gid from pg_prepared_xacts as p where p.database = d.datname order by 1) as prepared,
    array(
        select s.slot_name::text from pg_replication_slots as s where s.database = d.datname order by 1
    ) as slots,
    array(
        select s.subname::text from pg_subscription as s where s.subdbid = d.oid and s.subenabled order by 1
    ) as subscriptions
from pg_database as d
where d.datname = %(name)s
