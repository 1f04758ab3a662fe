-- Those of some indexes that this role may not rebuild, and the role of which it lacks the membership: null where that would
-- make it a superuser. REINDEX takes the owner, and since PostgreSQL 17 whoever may maintain the table; the privilege has
-- no name before. And nobody names an index without USAGE on its schema.
with version as (
    select current_setting('server_version_num')::int >= 170000 as has_maintain
)
select
    c.oid,
    current_user as role,
    o.rolname as owner,
    case when v.has_maintain then 'pg_maintain' when not o.rolsuper then o.rolname end as missing_role,
    n.nspname as schema,
    has_schema_privilege(n.oid, 'usage') as may_use_schema
from version as v
cross join pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_roles as o on o.oid = c.relowner
where c.oid = any(%(oids)s::oid[])
    and not (
        has_schema_privilege(n.oid, 'usage')
        and case
            when v.has_maintain then has_table_privilege(i.indrelid, 'maintain')
            else pg_has_role(c.relowner, 'usage')
        end
    )
