-- What a dump does not hold of its database, and where it lay: for whoever restores it.
select
    d.datname,
    d.oid::bigint as database_oid,
    pg_get_userbyid(d.datdba) as owner,
    pg_encoding_to_char(d.encoding) as encoding,
    d.datcollate as collate,
    d.datctype as ctype,
    coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') as locale_provider,
    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
    to_jsonb(d) ->> 'daticurules' as icu_rules,
    d.datconnlimit as connection_limit,
    d.datistemplate as is_template,
    (select array_agg(a::text) from unnest(d.datacl) as a) as acl,
    shobj_description(d.oid, 'pg_database') as comment,
    pg_database_size(d.oid) as size_bytes,
    pg_is_in_recovery() as is_in_recovery,
    (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)::text as wal_position
from pg_database as d
where d.datname = current_database()
