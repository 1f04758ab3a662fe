-- Slow on purpose: no index serves a pattern that begins with a wildcard.
select id, game_name, tag_line
from public.users
where game_name ilike '%%' || %(fragment)s || '%%'
order by summoner_level desc
limit 20
