-- Those of some tables that this role may not vacuum and analyze, and of which role it does not have the rights: null where
-- having them would make it a superuser. It takes the owner of the table, or of the database where the table is not of the
-- whole cluster, and since PostgreSQL 17 whoever may maintain it. And nobody names a table without USAGE on its schema.
with version as (
    select
        current_setting('server_version_num')::int >= 160000 as may_inherit_by_grant,
        current_setting('server_version_num')::int >= 170000 as has_maintain
)
select
    f.oid,
    f.role,
    f.owner,
    f.schema,
    f.may_use_schema,
    case when not f.may_maintain then f.helper end as missing_role,
    f.may_maintain,
    v.may_inherit_by_grant,
    r.rolinherit as inherits,
    f.helper is not null and pg_has_role(f.helper, 'member') as is_member
from version as v
cross join lateral (
    select
        c.oid,
        current_user as role,
        o.rolname as owner,
        case when v.has_maintain then 'pg_maintain' when not o.rolsuper then o.rolname end as helper,
        n.nspname as schema,
        has_schema_privilege(n.oid, 'usage') as may_use_schema,
        (not c.relisshared and pg_has_role(d.datdba, 'usage'))
        or case
            when v.has_maintain then has_table_privilege(c.oid, 'maintain')
            else pg_has_role(c.relowner, 'usage')
        end as may_maintain
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_roles as o on o.oid = c.relowner
    join pg_database as d on d.datname = current_database()
    where c.oid = any(%(oids)s::oid[])
) as f
join pg_roles as r on r.rolname = f.role
where not (f.may_use_schema and f.may_maintain)
