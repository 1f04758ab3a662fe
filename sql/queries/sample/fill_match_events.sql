-- One client in 300 has a clock that is twenty years late: those rows are what the default partition holds.
insert into public.match_events (match_id, sequence, event_type, payload, occurred_at)
select
    happened.match_id,
    happened.sequence,
    happened.event_type,
    jsonb_build_object(
        'type', happened.event_type,
        'slot', 1 + pg_temp.roll(happened.n, 32, 10),
        'x', pg_temp.roll(happened.n, 33, 150) * 100,
        'y', pg_temp.roll(happened.n, 34, 150) * 100
    ),
    case when pg_temp.roll(happened.n, 35, 300) = 0
        then happened.occurred_at - interval '20 years'
        else happened.occurred_at
    end
from (
    select
        match.id as match_id,
        sequence,
        match.id * 16 + sequence as n,
        (array['CHAMPION_KILL', 'CHAMPION_KILL', 'WARD_PLACED', 'ITEM_PURCHASED', 'BUILDING_KILL', 'ELITE_MONSTER_KILL'])[
            1 + pg_temp.roll(match.id * 16 + sequence, 31, 6)
        ] as event_type,
        match.played_at + make_interval(secs => match.duration_seconds * sequence / 7) as occurred_at
    from public.matches as match
    cross join generate_series(1, 6) as sequence
    where match.played_at >= %(recent)s or match.played_at >= %(expired)s and match.played_at < %(expired_end)s
) as happened
