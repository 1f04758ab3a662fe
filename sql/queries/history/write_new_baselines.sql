-- Baselines of those of the given indexes that are new since the last snapshot: built (their oid is above all that were
-- seen) or rebuilt in place (the oid was seen with other files only). An index that an earlier snapshot had to leave
-- out, for a lock on its table, is neither.
with seen as not materialized (
    select index_oid, relfilenode
    from herald.index_snapshot
    where database = %(database)s
      and system_identifier = %(system_identifier)s
      and database_oid = %(database_oid)s
)
insert into herald.index_baseline (
    database, system_identifier, database_oid, index_oid, relfilenode, bytes_per_tuple, size_bytes, tuples
)
select
    %(database)s, %(system_identifier)s, %(database_oid)s,
    given.index_oid, given.relfilenode, given.size_bytes / greatest(given.tuples, 1), given.size_bytes, given.tuples
from jsonb_to_recordset(%(rows)s::jsonb) as given (
    index_oid bigint, relfilenode bigint, size_bytes bigint, tuples double precision
)
where not exists (
    select from seen where seen.index_oid = given.index_oid and seen.relfilenode = given.relfilenode
)
  and (
      given.index_oid > (select max(seen.index_oid) from seen)
      or exists (select from seen where seen.index_oid = given.index_oid)
  )
on conflict (database, system_identifier, database_oid, index_oid) do update set
    relfilenode = excluded.relfilenode,
    bytes_per_tuple = excluded.bytes_per_tuple,
    size_bytes = excluded.size_bytes,
    tuples = excluded.tuples,
    measured_at = default
-- What our own rebuild measured right after it is nearer to the build.
where index_baseline.relfilenode <> excluded.relfilenode
