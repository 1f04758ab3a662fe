-- Who is connected. Long-running are transactions of clients: autovacuum is none, and a dump may take its time.
-- Of sessions of others a role without pg_read_all_stats sees no more than that they are there.
select
    pg_is_in_recovery() as is_standby,
    current_setting('max_connections')::int as max_connections,
    -- reserved_connections came with 16.
    current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved_connections,
    count(*) filter (where is_client or is_hidden)::int as connections,
    count(*) filter (where is_hidden)::int as hidden,
    count(*) filter (where is_client and state = 'active')::int as active,
    count(*) filter (where is_client and state = 'idle')::int as idle,
    count(*) filter (
        where is_client and state in ('idle in transaction', 'idle in transaction (aborted)')
    )::int as idle_in_transaction,
    count(*) filter (where is_client and application_name like 'herald:%%')::int as own_connections,
    count(*) filter (
        where is_client
          and application_name <> 'pg_dump'
          and xact_start < clock_timestamp() - make_interval(secs => %(long_seconds)s)
    )::int as long_running,
    coalesce(
        max(extract(epoch from clock_timestamp() - xact_start)) filter (
            where is_client and application_name <> 'pg_dump' and pid <> pg_backend_pid()
        ),
        0
    )::double precision as longest_seconds
from (
    select
        *,
        coalesce(backend_type = 'client backend', false) as is_client,
        backend_type is null and datid is not null as is_hidden
    from pg_stat_activity
) as session
