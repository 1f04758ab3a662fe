-- Extensions that CREATE EXTENSION would make, and whether it takes a superuser.
select a.name::text, bool_and(v.superuser and not v.trusted) as needs_superuser
from pg_available_extensions as a
join pg_available_extension_versions as v on v.name = a.name and v.version = a.default_version
group by a.name
