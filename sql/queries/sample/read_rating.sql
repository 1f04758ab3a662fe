select tier, league_points, wins, losses from public.player_ratings where user_id = %(user_id)s and queue = %(queue)s
