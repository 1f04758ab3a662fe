-- What a table has that its parent does not hand on.
select
    c.relpersistence = 'u' as is_unlogged,
    coalesce(c.reloptions, '{}') as options,
    coalesce(t.reloptions, '{}') as toast_options,
    coalesce(s.spcname, '') as tablespace,
    pg_get_userbyid(c.relowner) as owner,
    m.amname as access_method,
    c.relreplident::text as replica_identity,
    c.relrowsecurity as has_row_security,
    c.relforcerowsecurity as forces_row_security,
    obj_description(c.oid, 'pg_class') as comment,
    -- A comment that all siblings share is not about one month.
    (select count(distinct coalesce(obj_description(i.inhrelid, 'pg_class'), '')) = 1 and count(*) > 1
       from pg_inherits as i where i.inhparent = (select inhparent from pg_inherits where inhrelid = c.oid))
        as is_comment_shared,
    (select count(*) from pg_policy as p where p.polrelid = c.oid)::int as policies,
    (select count(*) from pg_trigger as g where g.tgrelid = c.oid and not g.tgisinternal and g.tgparentid = 0)::int as triggers
from pg_class as c
left join pg_class as t on t.oid = c.reltoastrelid
left join pg_tablespace as s on s.oid = c.reltablespace
left join pg_am as m on m.oid = c.relam
where c.oid = %(oid)s
