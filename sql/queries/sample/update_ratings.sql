-- The end of a ranked day: every player's points move, and with them every entry of the leaderboard's index.
update public.player_ratings
set league_points = pg_temp.roll(user_id, %(salt)s + length(queue), 100000)::integer
