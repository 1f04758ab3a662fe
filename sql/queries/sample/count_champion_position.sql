select count(*) as games
from public.match_participants
where champion_id = %(champion_id)s and team_position = %(team_position)s
