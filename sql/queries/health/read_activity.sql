-- Who is connected. Long-running are transactions of clients: autovacuum is none, and a dump may take its time.
select
    current_setting('max_connections')::int as max_connections,
    current_setting('superuser_reserved_connections')::int as reserved_connections,
    count(*) filter (where backend_type = 'client backend')::int as connections,
    count(*) filter (where backend_type = 'client backend' and state = 'active')::int as active,
    count(*) filter (where backend_type = 'client backend' and state = 'idle')::int as idle,
    count(*) filter (
        where backend_type = 'client backend' and state in ('idle in transaction', 'idle in transaction (aborted)')
    )::int as idle_in_transaction,
    count(*) filter (where backend_type = 'client backend' and application_name like 'herald:%%')::int as own_connections,
    count(*) filter (
        where backend_type = 'client backend'
          and application_name <> 'pg_dump'
          and xact_start < clock_timestamp() - make_interval(secs => %(long_seconds)s)
    )::int as long_running,
    coalesce(
        max(extract(epoch from clock_timestamp() - xact_start)) filter (
            where backend_type = 'client backend' and application_name <> 'pg_dump' and pid <> pg_backend_pid()
        ),
        0
    )::double precision as longest_seconds
from pg_stat_activity
