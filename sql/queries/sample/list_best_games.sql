select match_id, user_id, performance_score
from public.match_participants
where champion_id = %(champion_id)s
order by performance_score desc
limit 10
