select user_id, tier, league_points
from public.player_ratings
where queue = %(queue)s
order by league_points desc
limit 100
