-- Whether there is a relation with that oid still.
select c.relname from pg_class as c where c.oid = %(oid)s
