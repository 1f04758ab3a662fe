select r.rolsuper as is_superuser
from pg_roles as r
where r.rolname = current_user
