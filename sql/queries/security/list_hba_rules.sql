-- Without options and error texts, which may hold secrets. A line without a type could not be read; others with an error
-- are for encryption that is off. file_name and rule_number came with PostgreSQL 16.
select
    h.line_number as line,
    to_jsonb(h) ->> 'file_name' as file,
    h.type,
    h.database as databases,
    h.user_name as users,
    h.address,
    h.netmask,
    h.auth_method as method,
    h.type is null as is_broken
from pg_catalog.pg_hba_file_rules h
order by (to_jsonb(h) ->> 'rule_number')::int nulls last, h.line_number
