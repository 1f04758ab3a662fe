select id, riot_match_id, region, patch, winning_team
from public.matches
where riot_match_id = %(riot_match_id)s
