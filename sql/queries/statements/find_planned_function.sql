-- A function of this database that planning a text could run. The planner calls functions that are not volatile, and the
-- bodies of any in SQL: those that the text names, and those within what stored objects bring into a query, whichever it is
-- (views, policies, defaults of columns and arguments, constraints, expressions of indexes and statistics, casts). Of operators and types it calls
-- functions of any kind. Triggers and procedures are never planned with; oids below 16384 are initdb's; what an extension
-- made belongs to a superuser, and alone what was added to it later may not.
select format('%%I.%%I', n.nspname, p.proname) as name
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
join pg_catalog.pg_language as l on l.oid = p.prolang
where p.oid >= 16384
    and p.prokind = 'f'
    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
    and not (
        exists (
            select
            from pg_catalog.pg_depend as e
            where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e'
        )
        and exists (select from pg_catalog.pg_roles as o where o.oid = p.proowner and o.rolsuper)
    )
    and (
        (
            (p.provolatile <> 'v' or l.lanname = 'sql')
            and exists (
                select
                from unnest(%(names)s::text[]) as g (name)
                -- As the parser cuts them; capitals in whichever way a server takes them for small letters.
                where p.proname = g.name::name or lower(p.proname::text) = g.name::name::text
            )
        )
        or exists (
            select
            from pg_catalog.pg_depend as d
            where d.refclassid = 'pg_proc'::regclass
                and d.refobjid = p.oid
                and d.classid not in ('pg_trigger'::regclass, 'pg_event_trigger'::regclass)
                and (
                    p.provolatile <> 'v'
                    or l.lanname = 'sql'
                    or d.classid not in (
                        'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_attrdef'::regclass,
                        'pg_constraint'::regclass, 'pg_class'::regclass, 'pg_statistic_ext'::regclass,
                        'pg_proc'::regclass
                    )
                )
        )
    )
order by 1
limit 1
