-- What happened to each of the given indexes, whose counters of now are the last step, since the oldest snapshot that they
-- can be compared with, from the reading `first_reading` on. A step breaks the comparison where a counter falls, or where
-- a rebuild gave the index another oid while there are replicas: these begin to count anew then, and the primary goes on.
-- The ledger knows which oid was which before (`renewed`). A fall under one oid proves that a server lost its statistics,
-- so that nothing before it counts for any index.
with recursive given as materialized (
    select *
    from jsonb_to_recordset(%(rows)s::jsonb) as given (
        index_oid bigint, scans bigint, tuples_read bigint, blocks_hit bigint, blocks_read bigint,
        table_writes bigint, table_scans bigint
    )
),
renewed as (
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
    select index_oid, index_oid as life_oid
    from given
    union
    select life.index_oid, renewed.old_oid
    from life
    join renewed on renewed.new_oid = life.life_oid
),
snapshot as (
    select
        life.index_oid, life.life_oid, s.reading_id as place, s.taken_at, s.scans, s.tuples_read, s.blocks_hit,
        s.blocks_read, s.table_writes, s.table_scans
    from life
    join herald.index_snapshot as s on s.index_oid = life.life_oid
    where s.database = %(database)s
      and s.system_identifier = %(system_identifier)s
      and s.database_oid = %(database_oid)s
      and s.reading_id >= %(first_reading)s
    union all
    select
        index_oid, index_oid, 9223372036854775807, %(now)s, scans, tuples_read, blocks_hit,
        blocks_read, table_writes, table_scans
    from given
),
step as (
    select
        *,
        lag(place) over w as last_place,
        life_oid <> lag(life_oid) over w as is_renewed,
        scans < lag(scans) over w
            or tuples_read < lag(tuples_read) over w
            or blocks_hit < lag(blocks_hit) over w
            or blocks_read < lag(blocks_read) over w
            or table_writes < lag(table_writes) over w as has_fallen,
        -- They fall with every other index of the table that is dropped.
        greatest(table_scans - lag(table_scans) over w, 0) as new_table_scans
    from snapshot
    window w as (partition by index_oid order by place)
),
loss as (
    select max(place) as place
    from step
    where has_fallen and not is_renewed
),
stretch as (
    select index_oid, max(place) as place
    from step
    where has_fallen
       or (is_renewed and %(has_replicas)s)
    group by index_oid
)
select
    step.index_oid,
    min(step.taken_at) as first_taken_at,
    max(step.scans) - min(step.scans) as scans,
    max(step.tuples_read) - min(step.tuples_read) as tuples_read,
    max(step.blocks_hit) - min(step.blocks_hit) as blocks_hit,
    max(step.blocks_read) - min(step.blocks_read) as blocks_read,
    coalesce(sum(step.new_table_scans) filter (where step.last_place >= start.place), 0)::bigint as table_scans,
    bool_or(stretch.place is not null) as was_reset
from step
cross join loss
left join stretch on stretch.index_oid = step.index_oid
cross join lateral (select coalesce(greatest(loss.place, stretch.place), 0) as place) as start
where step.place >= start.place
group by step.index_oid
having count(*) > 1
