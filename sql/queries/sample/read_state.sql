-- What is in the database: the sample's mark, if any, and every table that a user made (partitions under their parent).
select
    obj_description(to_regclass('public.users'), 'pg_class') as mark,
    array(
        select format('%%I.%%I', namespace.nspname, relation.relname)
        from pg_class as relation
        join pg_namespace as namespace on namespace.oid = relation.relnamespace
        where relation.relkind in ('r', 'p', 'f', 'm')
            and not relation.relispartition
            and namespace.nspname not in ('pg_catalog', 'information_schema')
            and namespace.nspname !~ '^pg_(toast|temp)'
            and not exists (
                select from pg_depend as owned
                where owned.classid = 'pg_class'::regclass and owned.objid = relation.oid and owned.deptype = 'e'
            )
        order by 1
    ) as tables
