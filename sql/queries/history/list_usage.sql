-- The usage of each index over its last stretch of snapshots without a reset: the first snapshot of that stretch
-- and the newest of all. A stretch ends where a counter of any server went down, where the statistics were reset,
-- or where other servers were asked. A rebuild gives an index another oid and keeps its counters; the ledger knows
-- which oid was which before (`renewed`).
with recursive renewed as (
    select
        (result ->> 'index_oid')::bigint as new_oid,
        object_oid as old_oid
    from herald.maintenance_log
    where database = %(database)s
      and system_identifier = %(system_identifier)s
      and database_oid = %(database_oid)s
      and object_oid is not null
      and outcome = 'done'
      and result ? 'index_oid'
),
life as (
    select oid as index_oid, oid as life_oid
    from unnest(%(index_oids)s::bigint[]) as oid
    union
    select life.index_oid, renewed.old_oid
    from life
    join renewed on renewed.new_oid = life.life_oid
),
snapshot as (
    select
        life.index_oid,
        s.taken_at,
        s.scans,
        s.tuples_read,
        s.blocks_hit,
        s.blocks_read,
        s.table_writes,
        s.table_scans,
        s.stats_reset_at,
        s.servers,
        lag(s.scans) over w as last_scans,
        lag(s.tuples_read) over w as last_tuples_read,
        lag(s.blocks_hit) over w as last_blocks_hit,
        lag(s.blocks_read) over w as last_blocks_read,
        lag(s.table_writes) over w as last_table_writes,
        lag(s.table_scans) over w as last_table_scans,
        lag(s.stats_reset_at) over w as last_stats_reset_at,
        lag(s.servers) over w as last_servers,
        row_number() over w as place
    from life
    join herald.index_snapshot as s on s.index_oid = life.life_oid
    where s.database = %(database)s
      and s.system_identifier = %(system_identifier)s
      and s.database_oid = %(database_oid)s
      and s.taken_at >= %(since)s
    window w as (partition by life.index_oid order by s.taken_at)
),
stretch as (
    select
        *,
        count(*) filter (
            where place > 1 and (
                scans < last_scans
                or tuples_read < last_tuples_read
                or blocks_hit < last_blocks_hit
                or blocks_read < last_blocks_read
                or table_writes < last_table_writes
                or table_scans < last_table_scans
                or stats_reset_at is distinct from last_stats_reset_at
                or (
                    servers <> last_servers
                    and exists (
                        select
                        from jsonb_each(servers) as now
                        full join jsonb_each(last_servers) as last using (key)
                        where now.value is null
                           or last.value is null
                           or (now.value ->> 'scans')::bigint < (last.value ->> 'scans')::bigint
                           or (now.value ->> 'tuples_read')::bigint < (last.value ->> 'tuples_read')::bigint
                           or (now.value ->> 'blocks_hit')::bigint < (last.value ->> 'blocks_hit')::bigint
                    )
                )
            )
        ) over (partition by index_oid order by taken_at) as number
    from snapshot
),
ends as (
    select distinct on (index_oid) *
    from stretch
    order by index_oid, taken_at desc
)
select distinct on (ends.index_oid)
    ends.index_oid,
    ends.number > 0 as was_reset,
    first.taken_at as first_taken_at,
    first.scans as first_scans,
    first.tuples_read as first_tuples_read,
    first.blocks_hit as first_blocks_hit,
    first.blocks_read as first_blocks_read,
    first.table_scans as first_table_scans,
    ends.scans,
    ends.tuples_read,
    ends.blocks_hit,
    ends.blocks_read,
    ends.table_writes,
    ends.table_scans,
    ends.stats_reset_at,
    ends.servers
from ends
join stretch as first on first.index_oid = ends.index_oid and first.number = ends.number
order by ends.index_oid, first.taken_at
