select name, setting
from pg_catalog.pg_settings
where name = any(%(names)s)
