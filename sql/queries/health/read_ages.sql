-- How far each kind of transaction number is from where the server stops writing, over all databases of the server.
select
    max(age(datfrozenxid))::bigint as xid_age,
    max(mxid_age(datminmxid))::bigint as multixact_age,
    current_setting('autovacuum_freeze_max_age')::bigint as freeze_max_age,
    current_setting('autovacuum_multixact_freeze_max_age')::bigint as multixact_freeze_max_age
from pg_database
