-- Slow on purpose: the champion page aggregates every game instead of reading a summary.
select
    played.champion_id,
    match.patch,
    count(*) as games,
    avg(played.win::integer) as win_rate,
    avg(played.damage_dealt) as damage_dealt
from public.match_participants as played
join public.matches as match on match.id = played.match_id and match.played_at = played.played_at
group by played.champion_id, match.patch
order by games desc
limit 50
