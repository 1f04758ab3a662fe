-- What would break or be lost with a table or its partitions: what reads it, refers to it, inherits from it, publishes it.
with recursive tree (root, oid) as (
    select c.oid, c.oid from pg_class as c where c.oid = any (%(oids)s::oid[])
    union all
    select t.root, i.inhrelid from tree as t join pg_inherits as i on i.inhparent = t.oid
), referred (root, classid, objid) as (
    select root, 'pg_class'::regclass, oid from tree
    union all
    select t.root, 'pg_type'::regclass, unnest(array[y.oid, y.typarray])
    from tree as t join pg_type as y on y.typrelid = t.oid
), dependants as (
    select a.root, d.classid, d.objid, d.objsubid
    from referred as a
    join pg_depend as d on d.refclassid = a.classid and d.refobjid = a.objid
    where d.deptype = 'n'
), owned as (
    select
        d.*,
        r.ev_class,
        -- The table that a dependant is a part of.
        coalesce(r.ev_class, f.conrelid, g.tgrelid, y.polrelid, x.indrelid, e.adrelid,
                 case when d.classid = 'pg_class'::regclass then d.objid end) as table_oid
    from dependants as d
    left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    left join pg_constraint as f on d.classid = 'pg_constraint'::regclass and f.oid = d.objid
    left join pg_trigger as g on d.classid = 'pg_trigger'::regclass and g.oid = d.objid
    left join pg_policy as y on d.classid = 'pg_policy'::regclass and y.oid = d.objid
    left join pg_index as x on d.classid = 'pg_class'::regclass and x.indexrelid = d.objid
    -- Of generated columns.
    left join pg_attrdef as e on d.classid = 'pg_attrdef'::regclass and e.oid = d.objid
    -- A foreign key to its parent has a row for each partition; the parent's is told of elsewhere.
    where f.oid is null or (f.conparentid = 0 and f.contype = 'f')
)
select distinct
    o.root::bigint as oid,
    case when o.ev_class is not null then pg_describe_object('pg_class'::regclass, o.ev_class, 0)
         else pg_describe_object(o.classid, o.objid, o.objsubid) end as dependant
from owned as o
left join tree as own on own.root = o.root and own.oid = o.table_oid
where own.oid is null
  and o.classid not in ('pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass)
union
select t.root::bigint, 'publication ' || p.pubname
from tree as t join pg_publication_rel as l on l.prrelid = t.oid join pg_publication as p on p.oid = l.prpubid
order by 1, 2
