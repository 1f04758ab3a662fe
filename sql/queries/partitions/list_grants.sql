-- Who may do what with a table, and with its columns; nothing of the owner's own rights.
select null as column_name, x.privilege_type as privilege, x.is_grantable,
    case when x.grantee <> 0 then pg_get_userbyid(x.grantee) end as grantee
from pg_class as c
cross join lateral aclexplode(c.relacl) as x
where c.oid = %(oid)s and x.grantee <> c.relowner
union all
select a.attname, x.privilege_type, x.is_grantable, case when x.grantee <> 0 then pg_get_userbyid(x.grantee) end
from pg_attribute as a
join pg_class as c on c.oid = a.attrelid
cross join lateral aclexplode(a.attacl) as x
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped and x.grantee <> c.relowner
order by 1, 2, 4
