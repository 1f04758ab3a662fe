-- Who keeps VACUUM from removing rows that died since: the oldest snapshots and transactions of this database's sessions, of
-- standbys with hot_standby_feedback, of prepared transactions and of replication slots. The oldest first. Other vacuums
-- hold nothing, and sessions of other databases only hold what all databases share. seconds is null for slots.
-- catalogs_only: what a logical slot needs is the system catalogs' past.
with held as (
    select
        format(
            'session pid %%s, %%s as %%s, %%s for %%s s',
            a.pid,
            coalesce(nullif(a.application_name, ''), 'unnamed'),
            a.usename,
            coalesce(a.state, a.backend_type),
            round(extract(epoch from clock_timestamp() - a.xact_start))
        ) as holder,
        greatest(age(a.backend_xmin), age(a.backend_xid)) as xid_age,
        extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
        false as catalogs_only
    from pg_stat_activity as a
    where a.datname = current_database()
        and a.pid <> pg_backend_pid()
        and (a.backend_xmin is not null or a.backend_xid is not null)
        and not exists (select from pg_stat_progress_vacuum as v where v.pid = a.pid)
    union all
    select
        format('standby %%s as %%s (hot_standby_feedback)', coalesce(nullif(application_name, ''), 'unnamed'), usename),
        age(backend_xmin),
        null,
        false
    from pg_stat_replication
    where backend_xmin is not null
    union all
    select
        format('prepared transaction %%L of %%s', gid, owner),
        age(transaction),
        extract(epoch from clock_timestamp() - prepared)::float8,
        false
    from pg_prepared_xacts
    where database = current_database()
    union all
    select
        format('%%s replication slot %%L%%s', slot_type, slot_name, case when not active then ', which nobody uses' end),
        age(xmin),
        null,
        false
    from pg_replication_slots
    where xmin is not null
    union all
    select
        format('%%s replication slot %%L%%s', slot_type, slot_name, case when not active then ', which nobody uses' end),
        age(catalog_xmin),
        null,
        true
    from pg_replication_slots
    where catalog_xmin is not null
)
select holder, xid_age, seconds, catalogs_only
from held
order by xid_age desc, holder
