insert into public.match_participants (
    match_id, played_at, slot, user_id, champion_id, team_position, win,
    kills, deaths, assists, gold_earned, damage_dealt, performance_score
)
select
    played.id,
    played.played_at,
    played.slot,
    -- Squared, so that some play far more than others.
    1 + pg_temp.roll(played.n, 21, %(users)s) * pg_temp.roll(played.n, 21, %(users)s) / %(users)s,
    (1 + pg_temp.roll(played.n, 22, 168))::smallint,
    (array['TOP', 'JUNGLE', 'MIDDLE', 'BOTTOM', 'UTILITY'])[1 + (played.slot - 1) %% 5],
    (played.slot <= 5) = (played.winning_team = 100),
    pg_temp.roll(played.n, 23, 18)::smallint,
    pg_temp.roll(played.n, 24, 12)::smallint,
    pg_temp.roll(played.n, 25, 22)::smallint,
    (5000 + pg_temp.roll(played.n, 26, 13000))::integer,
    (4000 + pg_temp.roll(played.n, 27, 46000))::integer,
    (pg_temp.roll(played.n, 28, 10000) / 100.0)::numeric(5, 2)
from (
    select match.id, match.played_at, match.winning_team, slot, match.id * 10 + slot as n
    from public.matches as match
    cross join generate_series(1, 10) as slot
    where match.played_at >= %(recent)s
) as played
