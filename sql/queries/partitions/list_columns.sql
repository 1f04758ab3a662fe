-- The columns of a table in their order.
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attgenerated <> '' as is_generated
from pg_attribute as a
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
order by a.attnum
